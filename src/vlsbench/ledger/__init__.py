"""The ledger: what a run asked, what came back, and how every record ended."""

from vlsbench.ledger._blobs import bad_blobs, count_blobs, get_blob, has_blob, put_blob
from vlsbench.ledger._ledger import FILE, Call, Ledger, Outcome
from vlsbench.ledger._writer import LedgerError, Statement

__all__ = [
    "FILE",
    "Call",
    "Ledger",
    "LedgerError",
    "Outcome",
    "Statement",
    "bad_blobs",
    "count_blobs",
    "get_blob",
    "has_blob",
    "put_blob",
]
