"""The lab's server, for tests of evaluation."""

from collections.abc import Iterator

import pytest

from vlsbench import lab


@pytest.fixture
def server() -> Iterator[str]:
    with lab.running() as url:
        yield url
