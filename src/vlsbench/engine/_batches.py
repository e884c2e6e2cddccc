"""Calls that go to their provider in batches: collected, submitted, waited for, merged.

A batch is a row of the ledger before its provider hears of it, under a name that stands in the
batch's metadata too. Whenever the process dies, the next one finds by row or by name what was
submitted; only what the provider does not know is collected again.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TypeGuard

from vlsbench.engine._batch_rows import (
    CREATING,
    GONE,
    MERGED,
    OVER,
    PREPARED,
    UNSENT,
    Batch,
    BatchRow,
    describe,
    read_batches,
)
from vlsbench.engine._budget import Budget, Halted, StopSignal
from vlsbench.engine._context import PROBE, Tally
from vlsbench.engine._ledger import Ledger, storable_json
from vlsbench.engine._writer import Statement
from vlsbench.errors import Stopped, VlsbenchError
from vlsbench.models import (
    BATCH_PRICE,
    BATCH_QUIET,
    ENDED,
    BatchApi,
    BatchState,
    ChatModel,
    Denied,
    FatalCall,
    HttpChat,
    Passing,
    Reply,
    Request,
    Unanswered,
    read_lines,
)
from vlsbench.pairs import ImageError
from vlsbench.text import counted

FOLDER = "batches"
"""Within a run's folder: files on their way to a provider or back."""
ROUNDS = 2
"""Batches that a call joins before it becomes an ordinary call: the first may expire."""
AT_ONCE = 256
"""Answers merged in one transaction."""
LOOKS = 120
"""Looks in a row that get no answer, before the run stops: an hour."""
NO_ROOM_LOOKS = 10
"""Pauses before a batch that found no room in the provider's queue is created anew."""
NO_ROOM_TRIES = 3
"""Times that there is no room although no other batch of the run is out."""


class Batches:
    """The batches of one run."""

    def __init__(self, ledger: Ledger, budget: Budget, signal: StopSignal, tally: Tally) -> None:
        self._ledger = ledger
        self._budget = budget
        self._signal = signal
        self._tally = tally
        tally.batches = self._standing
        self._folder = ledger.folder / FOLDER
        self._by_key: dict[str, Batch] = {}
        self._collecting: dict[str, Batch] = {}
        """The latest of each model; full or not."""
        self.notes: set[str] = set()
        """For `Context.note`, when the run is over."""
        self._tasks: list[asyncio.Task[None]] = []
        self._leaving = False
        self._anew_s: float | None = None

    async def begin(self, models: Iterable[object], anew_s: float | None) -> None:
        """Follow what earlier invocations submitted; `anew_s` is `--batch-anew`."""
        self._anew_s = anew_s
        self._tasks.append(asyncio.create_task(self._heed()))
        known = {model.spec: model for model in models if isinstance(model, HttpChat)}
        for path in self._folder.glob("*"):
            path.unlink()
        for row in read_batches(self._ledger):
            if row.state in OVER or row.model not in known:
                continue
            keys = self._ledger.rows("SELECT key FROM batched WHERE batch = ?", row.name)
            batch = Batch(row, known[row.model], (key.hex() for (key,) in keys))
            if row.state == PREPARED:
                await self._record(batch, row.now(UNSENT))
            else:
                self._follow(batch)

    async def close(self) -> None:
        """Follow nothing any more; what was submitted stays on record."""
        self._leave()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def takes(self, model: ChatModel, key: str, role: str) -> TypeGuard[HttpChat]:
        """Tell whether a call goes into a batch, or is in one already."""
        known = isinstance(model, HttpChat) and (model.batching or key in self._by_key)
        return bool(known) and role != PROBE

    def under_way(self, key: str) -> bool:
        """Tell whether a batch asks this already."""
        return key in self._by_key

    async def ask(self, key: str, model: HttpChat, request: Request, role: str) -> Reply | None:
        """Return what a batch answered; None where the call is to be an ordinary one.

        Raises:
            Halted: The run is stopping, or its budget is spent.
        """
        for _ in range(ROUNDS):
            batch = self._by_key.get(key)
            cost = reserved = None
            if batch is None:
                if not model.batching:
                    return None
                reserved = await self._budget.reserve(model.spec, request, BATCH_PRICE)
                batch = self._join(key, role, model, request)
            try:
                if batch is None:
                    return None
                await batch.over.wait()
                if call := self._ledger.call(key):
                    worst = self._budget.worst(model.spec, request, call.reply.usage)
                    cost = worst * BATCH_PRICE if call.cost is None else call.cost
                    return call.reply
            finally:
                if reserved is not None:
                    self._budget.settle(reserved, cost)
            if self._leaving:
                raise Halted
            if not batch.again:
                return None
        return None

    def _join(self, key: str, role: str, model: HttpChat, request: Request) -> Batch | None:
        settings = model.batching
        assert settings is not None
        try:
            line = BatchApi(model).line(key, request)
        except ImageError:
            return None
        size, most = sum(map(len, line)), settings.batch_mb * 1e6
        if size > most:
            told = f"{model.spec}: requests above --batch-mb {settings.batch_mb:g} go in no batch"
            self._tally.note = f"{told}, but directly and at the full price"
            self.notes.add(f"{self._tally.note}.")
        if size > most or self._leaving:
            return None
        batch = self._collecting.get(model.spec)
        if batch and batch.size + size > most:
            batch.full.set()
        try:
            if batch is None or batch.full.is_set():
                row = BatchRow(f"vlsbench-{uuid.uuid4().hex}", model.spec, PREPARED, 0)
                batch = self._collecting[model.spec] = Batch(row, model)
                self._folder.mkdir(exist_ok=True)
                batch.file = self._path(batch).open("wb")
                self._follow(batch)
            assert batch.file is not None
            batch.file.writelines(line)
        except OSError as error:
            raise self._sorted(error, model) from None
        batch.size += size
        batch.keys.add(key)
        self._by_key[key] = batch
        values = (batch.row.name, bytes.fromhex(key), role, storable_json(request.canonical))
        batch.asked.append(Statement("INSERT INTO batched VALUES (?, ?, ?, ?)", values))
        for image in request.images:
            image.release()
        if batch.timer:
            batch.timer.cancel()
        quiet_s = settings.batch_poll_s * BATCH_QUIET
        batch.timer = asyncio.get_running_loop().call_later(quiet_s, batch.full.set)
        if len(batch.keys) >= settings.batch_requests:
            batch.full.set()
        return batch

    def _path(self, batch: Batch, ending: str = ".jsonl") -> Path:
        return self._folder / f"{batch.row.name}{ending}"

    # From a full file to answers on record.

    def _follow(self, batch: Batch) -> None:
        self._by_key.update(dict.fromkeys(batch.keys, batch))
        self._tasks.append(asyncio.create_task(self._carry(batch)))

    async def _carry(self, batch: Batch) -> None:
        try:
            if batch.file:
                await batch.full.wait()
                batch.file.close()
                if self._leaving:
                    return
                await self._upload(batch)
                await self._create(batch)
            await self._merge(batch, await self._until_ended(batch))
        except Halted:
            pass  # the run is stopping: what is on record of it stays
        except Exception as error:
            stopped = self._sorted(error, batch.model)
            self._signal.stop(str(stopped), stopped)
        finally:
            if batch.file:
                batch.file.close()
            for key in batch.keys:
                if self._by_key.get(key) is batch:
                    del self._by_key[key]
            batch.over.set()

    def _sorted(self, error: Exception, model: HttpChat) -> VlsbenchError:
        """Return what stops the run."""
        sure = "all answers are on record, and the same command resumes from here"
        match error:
            case Denied():  # before anything was created
                return FatalCall(f"{error}: go on without --batch")
            case VlsbenchError():
                return error
            case Passing():
                return Stopped(f"{model.spec}: no answer about a batch ({error}): {sure}")
            case OSError():
                said = f"cannot write into {self._folder}: {error.strerror}"
                return Stopped(f"{said}: free up disk space; {sure}")
        failed = VlsbenchError(f"{model.spec}: a batch went wrong: {error!r}")
        failed.__cause__ = error
        return failed

    async def _record(self, batch: Batch, row: BatchRow, *more: Statement) -> None:
        batch.row = row
        await self._ledger.commit(*row.statements(), *more)

    async def _upload(self, batch: Batch) -> None:
        path, asked, batch.asked = self._path(batch), batch.asked, []
        await self._record(batch, batch.row.now(PREPARED, requests=len(asked)), *asked)
        file = await batch.api.upload(path)
        await self._record(batch, batch.row.now(PREPARED, file=file))
        path.unlink()

    async def _create(self, batch: Batch) -> None:
        """Create it; where the answer is lost, it stays to be looked for."""
        await self._record(batch, batch.row.now(CREATING))
        try:
            made = await batch.api.create(batch.row.file or "", batch.row.name)
        except Unanswered:
            batch.row = batch.row.now(CREATING)
        except (Passing, FatalCall, Halted):
            await self._record(batch, batch.row.now(UNSENT))
            raise
        else:
            await self._record(batch, batch.row.told(made))

    async def _until_ended(self, batch: Batch) -> BatchState | None:
        """Return how a batch ended; None where its server lacks it, and it may be paid again."""
        pause, silent, crowded = batch.poll_s, 0, 0
        find = partial(batch.api.find, batch.row.file or "", batch.row.name)
        while True:
            try:
                told = await batch.api.state(batch.row.remote) if batch.row.remote else None
            except Passing as error:  # a batch takes hours, and a fault may take long
                if (silent := silent + 1) >= LOOKS:
                    raise
                batch.row = replace(batch.row, detail=str(error))
                await asyncio.sleep(pause)
                continue
            except Denied:
                told = None
            silent = 0
            if not (told := told or await batch.there(self._anew_s, find, "is not listed there")):
                return None
            if told.no_room:
                crowded += len(set(self._by_key.values())) == 1
                if crowded > NO_ROOM_TRIES:
                    raise Stopped(
                        f"{batch.model.spec}: the provider's queue has no room for a batch of "
                        f"{counted(batch.row.requests, 'request')} ({told.detail}): run the same "
                        "command later, or with fewer --batch-requests"
                    )
                await self._record(batch, batch.row.now(PREPARED, remote=None))
                await asyncio.sleep(NO_ROOM_LOOKS * pause)
                await self._create(batch)
                continue
            await self._record(batch, batch.row.told(told))
            if told.status in ENDED:
                return told
            await asyncio.sleep(pause)

    async def _merge(self, batch: Batch, told: BatchState | None) -> None:
        """Keep all answers, each with its cost, and let the rest be asked again."""
        spec, state, detail = batch.model.spec, MERGED, ""
        if told is None:
            state = GONE
        elif told.status == "failed":
            raise FatalCall(
                f"{spec}: the provider refused a batch of "
                f"{counted(batch.row.requests, 'request')} ({told.detail}): mend that, or go on "
                "without --batch"
            )
        elif told.status != "completed":
            detail = f"{told.status} before its end"
        if told and (told.output_file_id or told.count("completed")):
            look, why = partial(self._fetch, batch, told), "has answers that are not there"
            if not await batch.there(self._anew_s, look, why):
                state, detail = GONE, "its answers are gone"
        batch.again = bool(detail) or told is None
        await self._record(batch, batch.row.now(state, detail=detail))

    async def _fetch(self, batch: Batch, told: BatchState) -> bool:
        """Keep the answers that are there; tell whether these are as many as the server counts."""
        path = self._path(batch, ".answers")
        self._folder.mkdir(exist_ok=True)
        if not await batch.api.answers(told.id, path):
            return False
        lines = read_lines(path, told.id, batch.model.read)
        while some := list(islice(lines, AT_ONCE)):
            await self._ledger.commit(*self._answers(batch, some))
        path.unlink()
        return len(batch.brought) >= (told.count("completed") if told.request_counts else 1)

    def _answers(
        self, batch: Batch, lines: Iterable[tuple[str, Reply | None]]
    ) -> Iterator[Statement]:
        for key, reply in lines:
            if key in batch.brought or key not in batch.keys:
                continue
            batch.brought.add(key)
            if reply:
                cost = self._budget.cost(batch.model.spec, reply)
                self._tally.count(cost)
                yield batch.row.answer(key, reply, cost)

    def _standing(self) -> str:
        under_way = set(self._by_key.values())
        joining = (batch for batch in under_way if batch.file and not batch.full.is_set())
        collected = sum(len(batch.keys) for batch in joining)
        sent = describe(batch.row for batch in under_way)
        return " · ".join(filter(None, (f"{collected:,} collected" * bool(collected), sent)))

    # The end.

    async def _heed(self) -> None:
        """Where the run stops: leave batches to their providers, or bring the last ones home."""
        await self._signal.wait()
        if self._signal.error or self._signal.interrupted.is_set():
            self._leave()
        for batch in self._collecting.values():
            batch.full.set()
        await self._signal.interrupted.wait()
        self._leave()

    def _leave(self) -> None:
        self._leaving = True
        for batch in set(self._by_key.values()):
            if batch.file and not batch.full.is_set():
                self._path(batch).unlink(missing_ok=True)
            batch.over.set()
