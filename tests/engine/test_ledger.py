import asyncio
import hashlib
import resource
import sqlite3
import subprocess
import sys
import textwrap
import time
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vlsbench.engine import (
    FILE,
    Call,
    Ledger,
    LedgerError,
    Outcome,
    Statement,
    bad_blobs,
    get_blob,
    put_blob,
)
from vlsbench.errors import BadRow, VlsbenchError
from vlsbench.models import Finish, Reply, Usage

KEY = "ab" * 32


def make_call(key: str = KEY, text: str = "hello") -> Call:
    return Call(key, "target", "m", '{"text": "q"}', Reply(text), 0.5, time.time())


async def test_a_recorded_call_is_there_for_the_next_process(tmp_path: Path) -> None:
    with Ledger.write(tmp_path) as ledger:
        await ledger.record_call(make_call())
        await ledger.record_outcome(Outcome("p1", "judge", "keep", "", {"label": "refusal"}))
    with Ledger.read(tmp_path) as again:
        found = again.call(KEY)
        assert found is not None
        assert found.reply.text == "hello"
        assert found.cost == 0.5
        assert again.ended() == {"p1"}
        assert again.call("cd" * 32) is None


async def test_what_commit_returned_for_is_on_disk_at_once(tmp_path: Path) -> None:
    with Ledger.write(tmp_path) as ledger:
        await ledger.record_call(make_call())
        with sqlite3.connect(tmp_path / FILE) as other:
            assert other.execute("SELECT count(*) FROM calls").fetchone() == (1,)


async def test_many_writes_share_few_commits(tmp_path: Path) -> None:
    with Ledger.write(tmp_path) as ledger:
        await asyncio.gather(*(ledger.record_call(make_call(f"{n:064x}")) for n in range(500)))
        assert ledger.count_calls() == 500
        assert ledger.commits < 100


async def test_what_is_written_together_keeps_its_order_and_is_all_there_or_not_at_all(
    tmp_path: Path,
) -> None:
    rows = [BadRow("file", str(n), "why") for n in range(200)]
    with Ledger.write(tmp_path) as ledger:
        writes = [ledger.record_call(make_call(f"{n:064x}")) for n in range(100)]
        writes += [
            ledger.record_outcome(Outcome(f"p{n}", "judge", "keep", "", {"n": n}))
            for n in range(100)
        ]
        await asyncio.gather(*writes, ledger.set_left_out(rows), ledger.reopen([("p7", "judge")]))
        assert ledger.count_calls() == 100
        assert ledger.ended() == {f"p{n}" for n in range(100) if n != 7}
        assert ledger.left_out() == rows
        twice = Statement("INSERT INTO meta VALUES (?, ?)", ("twice", ""))
        with pytest.raises(LedgerError, match="UNIQUE"):
            await ledger.commit(Statement("DELETE FROM left_out"), twice, twice)
        assert ledger.meta("twice") is None
        assert ledger.left_out() == rows


async def test_a_writer_finds_every_call_and_no_other(tmp_path: Path) -> None:
    keys = [hashlib.sha256(str(n).encode()).hexdigest() for n in range(400)]
    with Ledger.write(tmp_path) as ledger:
        await asyncio.gather(*(ledger.record_call(make_call(key)) for key in keys[:100]))
    with Ledger.write(tmp_path) as ledger:
        assert ledger.call(keys[100]) is None
        await asyncio.gather(*(ledger.record_call(make_call(key)) for key in keys[100:200]))
        assert [ledger.call(key) is not None for key in keys] == [True] * 200 + [False] * 200


async def test_the_first_answer_to_a_key_stands(tmp_path: Path) -> None:
    with Ledger.write(tmp_path) as ledger:
        await ledger.record_call(make_call(text="first"))
        await ledger.record_call(make_call(text="second"))
        found = ledger.call(KEY)
        assert found is not None
        assert found.reply.text == "first"


def test_two_writers_are_refused(tmp_path: Path) -> None:
    with (
        Ledger.write(tmp_path),
        pytest.raises(VlsbenchError, match="written by another process"),
    ):
        Ledger.write(tmp_path)
    Ledger.write(tmp_path).close()


def test_a_folder_without_a_run_is_said_to_be_none(tmp_path: Path) -> None:
    with pytest.raises(VlsbenchError, match="no run found"):
        Ledger.read(tmp_path)


def test_a_broken_database_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"not a database at all" * 100)
    with pytest.raises(LedgerError, match="cannot open"):
        Ledger.write(tmp_path)
    (tmp_path / "lock").unlink()


def test_another_versions_ledger_is_refused(tmp_path: Path) -> None:
    Ledger.write(tmp_path).close()
    with sqlite3.connect(tmp_path / FILE) as database:
        database.execute("UPDATE meta SET value = '999' WHERE key = 'schema'")
    with pytest.raises(VlsbenchError, match="another version"):
        Ledger.read(tmp_path)


async def test_reopening_counts_and_keeps_the_old_calls(tmp_path: Path) -> None:
    with Ledger.write(tmp_path) as ledger:
        await ledger.record_call(make_call())
        await ledger.record_outcome(Outcome("p", "judge", "keep", "", {}))
        await ledger.set_meta(complete="yes")
        assert ledger.epoch("p", "judge") == 0
        await ledger.reopen([("p", "judge")])
        await ledger.reopen([("p", "judge")])
        assert ledger.epoch("p", "judge") == 2
        assert ledger.ended() == set()
        assert ledger.meta("complete") is None
        assert ledger.count_calls() == 1


FULL_DISK = """
    import asyncio, resource, signal, sys, time
    from pathlib import Path
    from vlsbench.engine import Call, Ledger, LedgerError
    from vlsbench.models import Reply

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    async def main():
        kept = 0
        with Ledger.write(Path(sys.argv[1])) as ledger:
            resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))
            try:
                for n in range(1000):
                    reply = Reply("x" * 5000)
                    call = Call(f"{n:064x}", "target", "m", "{}", reply, None, time.time())
                    await ledger.record_call(call)
                    kept += 1
            except LedgerError as error:
                print(kept, error)

    asyncio.run(main())
"""


def test_a_full_disk_stops_with_everything_before_it_kept(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(FULL_DISK), str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
    )
    kept, _, message = done.stdout.partition(" ")
    assert "run the same command again" in message
    assert 0 < int(kept) < 1000
    with Ledger.write(tmp_path) as ledger:
        assert ledger.integrity() == []
        assert ledger.count_calls() == int(kept)
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY


replies = st.builds(
    Reply,
    text=st.text(),
    finish=st.sampled_from(Finish),
    reasoning=st.text(),
    usage=st.builds(Usage, *[st.none() | st.integers(0, 2**70)] * 3),
    latency_s=st.floats(0, 1e6),
    attempts=st.integers(1, 100),
    served_by=st.text(),
    detail=st.text(),
)


@pytest.mark.long
@settings(max_examples=50, deadline=None)
@given(st.lists(replies, min_size=1, max_size=20))
async def test_a_reply_comes_back_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, made: list[Reply]
) -> None:
    keys = [f"{n:064x}" for n in range(len(made))]
    with Ledger.write(tmp_path_factory.mktemp("run")) as ledger:
        calls = [
            replace(make_call(key), reply=reply) for key, reply in zip(keys, made, strict=True)
        ]
        await asyncio.gather(*map(ledger.record_call, calls))
        found = [ledger.call(key) for key in keys]
    assert [call and call.reply for call in found] == made


@settings(max_examples=25)
@given(st.binary(min_size=1))
def test_blobs_are_found_by_their_digest(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    import hashlib

    folder = tmp_path_factory.mktemp("run")
    digest = hashlib.sha256(data).hexdigest()
    place = put_blob(folder, data, digest)
    assert get_blob(folder, digest) == data
    assert list(bad_blobs(folder)) == []
    place.write_bytes(data + b"!")
    assert list(bad_blobs(folder)) == [digest]
