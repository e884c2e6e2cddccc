"""The `vlsbench` command: parse, call, print. One file per command group."""

from vlsbench.cli._app import main

__all__ = ["main"]
