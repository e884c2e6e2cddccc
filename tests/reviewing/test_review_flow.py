from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.reviewing.review_examples import (
    GOOD,
    NO,
    UNSURE,
    YES,
    begin,
    image_bytes,
    pair,
    pair_set,
    say,
)
from vlsbench.errors import BadRows, VlsbenchError
from vlsbench.pairs import MadeImage
from vlsbench.reviewing import (
    STEPS,
    Question,
    Review,
    Role,
    Said,
    Step,
    Store,
    asked,
    open_review,
)

UNMATCHED = {**GOOD, Question.MATCHED: NO}


def _at(review: Review, person: str, role: Role = Role.REVIEWER) -> tuple[int, Step] | None:
    screen = review.screen(person, role)
    return None if screen is None else (screen.number, screen.step)


def test_a_pair_takes_three_screens_and_goes_on_where_it_was_left(tmp_path: Path) -> None:
    review = begin(tmp_path)
    assert _at(review, "ann") == (0, Step.QUERY)
    said = Said({Question.QUERY_HARMFUL: NO})
    assert review.answer("ann", Role.REVIEWER, 0, Step.QUERY, said)
    again = begin(tmp_path)
    assert _at(again, "ann") == (0, Step.IMAGE)
    assert _at(again, "ben") == (0, Step.QUERY)


def test_an_answer_to_another_screen_is_not_recorded(tmp_path: Path) -> None:
    review = begin(tmp_path)
    said = Said({Question.QUERY_HARMFUL: NO})
    assert review.answer("ann", Role.REVIEWER, 0, Step.QUERY, said)
    assert not review.answer("ann", Role.REVIEWER, 0, Step.QUERY, said)
    assert not review.answer("ann", Role.REVIEWER, 1, Step.QUERY, said)
    assert not review.answer("ann", Role.REVIEWER, 0, Step.PAIR, said)
    assert _at(review, "ann") == (0, Step.IMAGE)


@pytest.mark.parametrize(
    "said",
    [
        Said({}),
        Said({Question.MATCHED: YES}),
        Said({Question.QUERY_HARMFUL: NO, Question.MATCHED: YES}),
        Said({Question.QUERY_HARMFUL: NO}, codes=("no such code",)),
        Said({Question.QUERY_HARMFUL: NO}, comment="crumbs " * 1000),
    ],
)
def test_more_or_less_than_was_asked_is_refused(tmp_path: Path, said: Said) -> None:
    review = begin(tmp_path)
    with pytest.raises(VlsbenchError):
        review.answer("ann", Role.REVIEWER, 0, Step.QUERY, said)
    assert _at(review, "ann") == (0, Step.QUERY)


def test_undo_goes_back_screen_by_screen_and_stays_on_record(tmp_path: Path) -> None:
    review = begin(tmp_path)
    say(review, "ann", UNMATCHED)
    say(review, "ben")
    for wanted in ((0, Step.PAIR), (0, Step.IMAGE), (0, Step.QUERY)):
        assert review.undo("ann", Role.REVIEWER)
        assert _at(review, "ann") == wanted
    assert not review.undo("ann", Role.REVIEWER)
    assert _at(review, "ben") == (1, Step.QUERY)
    say(review, "ann")
    with Store.read(tmp_path) as store:
        assert len(store.rows("ann")) == 9
    (ann,) = [v for v in review.current()[0] if v.person == "ann"]
    assert ann.answers == GOOD


def test_disputes_go_to_a_third_person_who_reads_no_name(tmp_path: Path) -> None:
    review = begin(tmp_path, 2)
    say(review, "ann")
    say(review, "ann")
    say(review, "ben")
    assert _at(review, "cleo", Role.ADJUDICATOR) is None
    say(review, "ben", UNMATCHED, comment="a kettle")
    screen = review.screen("cleo", Role.ADJUDICATOR)
    assert screen is not None
    assert (screen.number, screen.questions) == (1, (Question.MATCHED,))
    assert sorted(v.comment for v in screen.others) == ["", "a kettle"]
    progress = review.progress("cleo", Role.ADJUDICATOR)
    assert (progress.done, progress.total) == (0, 1)
    said = Said({Question.MATCHED: NO})
    assert review.answer("cleo", Role.ADJUDICATOR, 1, Step.ADJUDICATION, said)
    assert _at(review, "cleo", Role.ADJUDICATOR) is None
    progress = review.progress("cleo", Role.ADJUDICATOR)
    assert (progress.done, progress.total) == (1, 1)
    status = review.status()
    assert (status.keep, status.drop, status.open, status.disputed) == (1, 1, 0, 0)


def test_an_unsure_adjudicator_leaves_it_to_the_next(tmp_path: Path) -> None:
    review = begin(tmp_path, 1)
    say(review, "ann")
    say(review, "ben", UNMATCHED)
    review.answer("cleo", Role.ADJUDICATOR, 0, Step.ADJUDICATION, Said({Question.MATCHED: UNSURE}))
    assert _at(review, "cleo", Role.ADJUDICATOR) is None
    assert _at(review, "dan", Role.ADJUDICATOR) == (0, Step.ADJUDICATION)
    assert review.status().disputed == 1


def test_letters_do_not_tell_who_is_who(tmp_path: Path) -> None:
    review = begin(tmp_path, 12)
    for _ in range(12):
        say(review, "ann")
        say(review, "ben", UNMATCHED)
    first = set()
    while screen := review.screen("cleo", Role.ADJUDICATOR):
        first.add(screen.others[0].person)
        said = Said({Question.MATCHED: YES})
        review.answer("cleo", Role.ADJUDICATOR, screen.number, Step.ADJUDICATION, said)
    assert first == {"ann", "ben"}


def test_one_name_has_one_role(tmp_path: Path) -> None:
    review = begin(tmp_path)
    say(review, "ann")
    with pytest.raises(VlsbenchError, match="ann is reviewer"):
        review.join({"ann": Role.ADJUDICATOR})
    with pytest.raises(VlsbenchError, match="name"):
        review.join({"../ann": Role.REVIEWER})


def test_a_verdict_counts_only_for_what_was_seen(tmp_path: Path) -> None:
    review = begin(tmp_path)
    say(review, "ann")
    say(review, "ann")
    repainted = MadeImage("toaster-0.png", lambda: image_bytes("red"))
    changed = begin(tmp_path, [pair(0, images=(repainted,)), pair(1), pair(2)])
    assert _at(changed, "ann") == (0, Step.QUERY)
    assert changed.status().stale == 1
    assert [v.pair for v in changed.current()[0]] == ["toast-1"]
    say(changed, "ann")
    assert _at(changed, "ann") == (2, Step.QUERY)
    back = begin(tmp_path)
    assert _at(back, "ann") == (2, Step.QUERY)
    without = begin(tmp_path, [pair(1), pair(2)])
    assert without.status().stale == 1


def test_the_sample_is_fixed_when_the_review_begins(tmp_path: Path) -> None:
    review = begin(tmp_path, 20, limit=5, seed=3)
    ids = [p.id for p in review.pairs]
    assert len(ids) == 5
    assert [p.id for p in begin(tmp_path, 20).pairs] == ids
    with pytest.raises(VlsbenchError, match="sample of 5"):
        begin(tmp_path, 20, limit=6)
    with (
        Store.write(tmp_path) as store,
        pytest.raises(VlsbenchError, match="of toast, not of crumbs"),
    ):
        open_review(pair_set([pair(0)], "crumbs"), store)


def test_pairs_that_cannot_be_shown_are_named_or_left_out(tmp_path: Path) -> None:
    pairs = [pair(0), pair(1, images=())]
    with pytest.raises(BadRows, match="toast-1 has none"):
        begin(tmp_path, pairs)
    assert [p.id for p in begin(tmp_path, pairs, skip_bad=True).pairs] == ["toast-0"]
    with pytest.raises(BadRows):
        begin(tmp_path / "none", pairs[1:], skip_bad=True)


def test_votes_wait_for_everyone_who_was_invited(tmp_path: Path) -> None:
    review = begin(tmp_path, 1)
    review.join({"ann": Role.REVIEWER, "ben": Role.REVIEWER})
    say(review, "ann")
    assert review.status().open == 1
    later = begin(tmp_path, 1).status()
    assert (later.votes, later.open) == (2, 1)
    assert [(person.name, person.done) for person in later.people] == [("ann", 1), ("ben", 0)]


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["ann", "ben"]), st.sampled_from(["say", "say", "undo", "old"])),
        max_size=40,
    )
)
def test_whatever_is_done_each_person_stands_where_they_stood(
    tmp_path_factory: pytest.TempPathFactory, actions: list[tuple[str, str]]
) -> None:
    folder = tmp_path_factory.mktemp("review")
    review = begin(folder, 2)
    # Who has answered what, as a plain list of screens with undo from its end.
    stands: dict[str, list[tuple[int, Step]]] = {"ann": [], "ben": []}
    recorded = 0
    for person, action in actions:
        done = stands[person]
        at = divmod(len(done), 3)
        here = (at[0], STEPS[at[1]]) if at[0] < 2 else None
        assert _at(review, person) == here
        before = recorded
        if action == "undo":
            assert review.undo(person, Role.REVIEWER) == bool(done)
            recorded += bool(done)
            del done[-1:]
        elif here and action == "say":
            said = Said(dict.fromkeys(asked(review.pairs[here[0]], here[1]), YES))
            assert review.answer(person, Role.REVIEWER, *here, said)
            done.append(here)
            recorded += 1
        elif done and action == "old":
            said = Said(dict.fromkeys(asked(review.pairs[0], done[-1][1]), YES))
            assert not review.answer(person, Role.REVIEWER, *done[-1], said)
        with Store.read(folder) as store:
            assert len(store.rows()) == recorded >= before
    for person, done in stands.items():
        assert _at(begin(folder, 2), person) == (
            (len(done) // 3, STEPS[len(done) % 3]) if len(done) < 6 else None
        )


def test_the_status_is_worked_out_anew_only_where_something_was_said(tmp_path: Path) -> None:
    review = begin(tmp_path)
    review.join({"ann": Role.REVIEWER})
    before = review.status()
    assert review.status() is before
    review.join({"ben": Role.REVIEWER})
    assert (before.votes, review.status().votes) == (1, 2)
    say(review, "ann")
    assert [one.done for one in review.status().people] == [1, 0]
