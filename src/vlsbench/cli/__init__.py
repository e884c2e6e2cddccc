"""The `vlsbench` command: parse, call, print. One file per command group."""

from vlsbench.cli.app import main

__all__ = ["main"]
