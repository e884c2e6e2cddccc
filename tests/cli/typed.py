"""What the fixture `vlsbench` is."""

from __future__ import annotations

from collections.abc import Callable
from subprocess import CompletedProcess

Command = Callable[..., "CompletedProcess[str]"]
"""Takes the arguments as they are typed."""
