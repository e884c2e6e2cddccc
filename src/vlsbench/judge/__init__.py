"""Judges: from a reply to a verdict."""

from vlsbench.judge._verdict import Label, Unscored, Verdict

__all__ = ["Label", "Unscored", "Verdict"]
