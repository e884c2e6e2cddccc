"""Errors a user can act on: one line that says what is wrong and what to do about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

EXIT_ERROR = 1
"""Something must be changed before the command can work."""
EXIT_USAGE = 2
"""Wrong usage."""
EXIT_STOPPED = 3
"""The run stopped early and is resumable: budget, too many errors, full disk, lost server."""
EXIT_INTERRUPTED = 130
"""Ctrl-C; resumable."""


class VlsbenchError(Exception):
    """Base of every error that the command line prints as one line, without a trace."""

    exit_code = EXIT_ERROR


class Signal(Exception):
    """No error in anybody's code: tells whoever runs a stage how its record goes on."""


class Halted(Signal):
    """No new call is made: the run is stopping. The record stays open."""


class UsageError(VlsbenchError):
    """A command, or a configuration, that lacks something it needs."""

    exit_code = EXIT_USAGE


class MissingExtra(VlsbenchError):
    """An optional dependency is not installed."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} needs an extra: pip install 'vlsbench[{extra}]'")


@dataclass(frozen=True, slots=True)
class BadRow:
    """One row of a benchmark that cannot be used: where it stands and why."""

    file: str
    row: str
    reason: str

    def __str__(self) -> str:
        return f"{self.file}, row {self.row}: {self.reason}"


class BadRows(VlsbenchError):
    """Every unusable row of a benchmark, in one error."""

    SHOWN = 20

    def __init__(
        self,
        name: str,
        rows: Sequence[BadRow],
        *,
        rest: bool = True,
        hints: Sequence[str] = (),
        way: str = "--skip-bad runs the rest and records what was left out",
    ) -> None:
        """List them, or say once what is wrong with all.

        Args:
            name: What they are rows of.
            rows: The unusable ones.
            rest: Whether there are usable ones too.
            hints: What may help.
            way: What can be done where there are.
        """
        self.rows = tuple(rows)
        shown = "\n".join(f"  {row}" for row in self.rows[: self.SHOWN])
        more = len(self.rows) - self.SHOWN
        if more > 0:
            shown += f"\n  … and {more} more"
        count = "1 unusable row" if len(self.rows) == 1 else f"{len(self.rows)} unusable rows"
        said = f"{name}: {count} ({way if rest else 'no usable row'})\n{shown}"
        if not rest and len(rows) > 1 and len({(row.file, row.reason) for row in rows}) == 1:
            said = f"{rows[0].file}: {rows[0].reason} (all {len(rows):,} rows)"
        super().__init__("\n".join((said, *hints)))


class Stopped(VlsbenchError):
    """A run that ended before its work did, with everything so far kept."""

    exit_code = EXIT_STOPPED


class Interrupted(Stopped):
    """A run that was left at once, with calls in flight."""

    exit_code = EXIT_INTERRUPTED
