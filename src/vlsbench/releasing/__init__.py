"""Releasing a set: Parquet with a card, Croissant, checksums and provenance."""

from vlsbench.releasing._about import Content as Content
from vlsbench.releasing._about import Release as Release
from vlsbench.releasing._about import ReleaseConfig as ReleaseConfig
from vlsbench.releasing._verify import Verified as Verified
from vlsbench.releasing._verify import verify as verify
from vlsbench.releasing._write import assign_splits as assign_splits
from vlsbench.releasing._write import release as release
