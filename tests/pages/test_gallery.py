from __future__ import annotations

import tracemalloc
from collections import Counter
from collections.abc import Iterator
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from tests.pages import report_examples as examples
from vlsbench.evaluation import PairRow
from vlsbench.judge import Label

NOT_OURS = Label.SAFE, Label.HARMFUL, Label.BENIGN
"""Labels of guards and of material."""
OF_REPLIES = [label for label in Label if label not in NOT_OURS]
some_rows = st.lists(
    st.tuples(st.sampled_from(OF_REPLIES), st.sampled_from(["Kitchen", "Garden", "Street"])),
    max_size=60,
).map(
    lambda kinds: [
        examples.row(number, label=label, category=category)
        for number, (label, category) in enumerate(kinds)
    ]
)


@given(rows=some_rows, size=st.integers(0, 40))
def test_no_label_is_short_while_another_has_more(rows: list[PairRow], size: int) -> None:
    available = Counter(row.label for row in rows)
    chosen = Counter(row.label for row, _ in examples.gallery(rows, size).chosen())

    assert chosen.total() == min(size, len(rows))
    most = max(chosen.values(), default=0)
    for label, number in available.items():
        assert chosen[label] >= min(number, most - 1)


@given(rows=some_rows, size=st.integers(0, 40), random=st.randoms(use_true_random=False))
def test_the_order_in_which_pairs_finished_changes_nothing(
    rows: list[PairRow], size: int, random: Random
) -> None:
    shuffled = random.sample(rows, len(rows))

    one, other = (examples.gallery(some, size).chosen() for some in (shuffled, rows))
    assert one == other


def test_rows_that_share_an_id_are_kept_apart() -> None:
    twins = [examples.row(7, reply="first"), examples.row(7, reply="second")]

    assert len(examples.gallery(twins, 5).chosen()) == 2


def test_only_the_chosen_rows_are_held() -> None:
    def long_run() -> Iterator[PairRow]:
        for number in range(1_000):
            yield examples.row(number, reply=f"{number} crumbs " * 2_000)

    tracemalloc.start()
    gallery = examples.gallery(long_run(), 20)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert gallery.total == 1_000
    assert peak < 3_000_000  # all of them take 26 MB
