"""For all tests: one thread a process, because xdist gives every core a process of its own."""

from __future__ import annotations

import os

# Read when torch and tokenizers are imported, so set before any test file imports them.
for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(name, "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
