"""Calls that go to their provider in batches: collected, submitted, waited for, merged.

A batch is a row of the ledger before its provider hears of it, under a name that stands in the
batch's metadata too. Whenever the process dies, the next one finds by row or by name what was
submitted; only what the provider does not know is collected again.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
import uuid
from collections.abc import Iterable
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TypeGuard

from vlsbench.engine._batch_rows import (
    GONE,
    MERGED,
    OVER,
    PREPARED,
    UNSENT,
    UPLOADED,
    Batch,
    BatchRow,
    describe,
    describe_left,
    has_answered,
    read_batches,
)
from vlsbench.engine._budget import INTERRUPTED, Budget, Halted, StopSignal
from vlsbench.engine._context import PROBE, Tally
from vlsbench.engine._ledger import Ledger, storable_json
from vlsbench.engine._writer import Statement
from vlsbench.errors import Stopped, VlsbenchError
from vlsbench.models import (
    BATCH_PRICE,
    ENDED,
    BatchLine,
    BatchState,
    ChatModel,
    FatalCall,
    HttpChat,
    Passing,
    Reply,
    Request,
    read_lines,
)
from vlsbench.pairs import ImageError
from vlsbench.text import counted

FOLDER = "batches"
"""Within a run's folder: files on their way to a provider or back."""
ROUNDS = 2
"""Batches that a call joins before it becomes an ordinary call: the first may expire."""
CREATES = 5
"""Attempts to create a batch."""
PAUSE_S = 2.0
"""Before a batch whose creation got no answer is looked for."""
AT_ONCE = 256
"""Answers merged in one transaction."""
NO_ROOM_POLLS = 10
"""Looks at the others to wait for, before a batch that found no room is created anew."""


class Batches:
    """The batches of one run."""

    def __init__(self, ledger: Ledger, budget: Budget, signal: StopSignal, tally: Tally) -> None:
        self._ledger = ledger
        self._budget = budget
        self._signal = signal
        self._tally = tally
        self._folder = ledger.folder / FOLDER
        self._by_key: dict[str, Batch] = {}
        self._collecting: dict[str, Batch] = {}
        """By model."""
        self._under_way: dict[str, Batch] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._leaving = False
        self._merged = 0

    async def begin(self, models: Iterable[object]) -> None:
        """Follow what earlier invocations submitted.

        Raises:
            VlsbenchError: A server does not say whether it has a batch.
        """
        self._tasks.append(asyncio.create_task(self._heed()))
        known = {model.spec: model for model in models if isinstance(model, HttpChat)}
        for spec, model in known.items():
            if model.batching and has_answered(self._ledger, spec):
                model.adapted.learns = False
        for path in self._folder.glob("*"):
            path.unlink()
        for row in read_batches(self._ledger):
            if row.state in OVER or row.model not in known:
                continue
            model = known[row.model]
            if row.remote is None:
                row = await self._looked_for(row, model)
            sql = "SELECT key FROM batched WHERE batch = ?"
            keys = [key.hex() for (key,) in self._ledger.rows(sql, row.name)]
            if row.state in OVER:
                await self._ledger.commit(row.statement(), row.forget())
            else:
                self._follow(Batch(row, model, keys))

    async def _looked_for(self, row: BatchRow, model: HttpChat) -> BatchRow:
        """Find out whether a batch was created before the process died."""
        api = model.batch_api()
        found = None
        try:
            # Without a file on record there was nothing to create a batch of.
            for _ in range(2 if row.file else 0):
                if found := await api.find(row.name):
                    break
                await asyncio.sleep(PAUSE_S)  # it may just have been sent
        except (Passing, FatalCall) as error:
            if model.batching:
                raise Stopped(
                    f"{row.model}: whether batch {row.name} was created is unknown, for the server "
                    f"does not list its batches ({error}): run the same command later, or without "
                    "--batch to ask its requests again"
                ) from None
        return row.told(found) if found else replace(row, state=UNSENT, at=time.time())

    async def close(self) -> None:
        """Follow nothing any more; what was submitted stays on record."""
        self._leave()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def left(self) -> str:
        """Say what was left at providers; empty where nothing was."""
        return describe_left(read_batches(self._ledger))

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
            batch, reserved = self._by_key.get(key), None
            if batch is None:
                if not model.batching:
                    return None
                reserved = await self._budget.reserve(model.spec, request, BATCH_PRICE)
                batch = self._join(key, role, model, request)
            cost = 0.0
            try:
                if batch is None:
                    return None
                await batch.over.wait()
                if batch.fault:
                    raise batch.fault
                call = self._ledger.call(key)
                if call:
                    worst = self._budget.worst(model.spec, request, call.reply.usage)
                    cost = worst * BATCH_PRICE if call.cost is None else call.cost
                    return call.reply
                sent = batch.row.file and self._leaving
                cost = (reserved or 0.0) if sent or key in batch.unclear else 0.0
            finally:
                if reserved is not None:
                    self._budget.settle(reserved, cost)
            if self._leaving:
                raise Halted
            if not batch.again:
                return None
        return None

    # Collecting.

    def _join(self, key: str, role: str, model: HttpChat, request: Request) -> Batch | None:
        assert model.batching is not None
        try:
            line = model.batch_line(key, request)
        except ImageError:
            return None
        size = sum(map(len, line))
        if size > model.batching.size or self._leaving:
            return None
        batch = self._collecting.get(model.spec)
        if batch and batch.size + size > model.batching.size:
            self._close(batch)
            batch = None
        if batch is None:
            row = BatchRow(f"vlsbench-{uuid.uuid4().hex}", model.spec, PREPARED, 0)
            batch = self._collecting[model.spec] = Batch(row, model)
            self._folder.mkdir(exist_ok=True)
            batch.file = self._path(batch).open("wb")
            self._follow(batch)
        assert batch.file is not None
        try:
            batch.file.writelines(line)
        except OSError as error:
            raise self._unwritable(error) from None
        batch.size += size
        batch.joined = time.monotonic()
        batch.keys.add(key)
        self._by_key[key] = batch
        rendered = storable_json(request.canonical)
        values = (batch.row.name, bytes.fromhex(key), role, rendered)
        batch.asked.append(Statement("INSERT INTO batched VALUES (?, ?, ?, ?)", values))
        for image in request.images:
            image.release()
        if len(batch.keys) >= model.batching.requests:
            self._close(batch)
        self._say()
        return batch

    def _unwritable(self, error: OSError) -> Stopped:
        return Stopped(
            f"cannot write into {self._folder}: {error.strerror}; all answers are on record: free "
            "up disk space and run the same command again"
        )

    def _path(self, batch: Batch, ending: str = ".jsonl") -> Path:
        return self._folder / f"{batch.row.name}{ending}"

    def _close(self, batch: Batch) -> None:
        if self._collecting.get(batch.model.spec) is batch:
            del self._collecting[batch.model.spec]
        batch.full.set()

    async def _until_quiet(self, batch: Batch) -> None:
        assert batch.model.batching is not None
        quiet_s = batch.model.batching.quiet_s
        while (left := batch.joined + quiet_s - time.monotonic()) > 0 and not batch.full.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(batch.full.wait(), left)
        self._close(batch)

    # From a full file to answers on record.

    def _follow(self, batch: Batch) -> None:
        self._under_way[batch.row.name] = batch
        self._by_key.update(dict.fromkeys(batch.keys, batch))
        self._tasks.append(asyncio.create_task(self._carry(batch)))

    async def _carry(self, batch: Batch) -> None:
        try:
            if batch.file:
                await self._until_quiet(batch)
                batch.file.close()
                if self._leaving:
                    return
                await self._upload(batch)
                await self._create(batch)
            await self._merge(batch, await self._until_ended(batch))
        except Passing as error:
            said = f"{batch.model.spec}: a batch got no answer from its server ({error})"
            self._signal.stop(said, Stopped(said))
        except VlsbenchError as error:
            self._signal.stop(str(error), error)
        except OSError as error:
            full = self._unwritable(error)
            self._signal.stop(str(full), full)
        except Exception as error:
            batch.fault = error
        finally:
            self._end(batch)

    def _end(self, batch: Batch) -> None:
        self._close(batch)
        if batch.file:
            batch.file.close()
        self._under_way.pop(batch.row.name, None)
        for key in batch.keys:
            if self._by_key.get(key) is batch:
                del self._by_key[key]
        batch.over.set()
        self._say()

    async def _record(self, batch: Batch, row: BatchRow, *more: Statement) -> None:
        batch.row = row
        await self._ledger.commit(row.statement(), *more)
        self._say()

    async def _upload(self, batch: Batch) -> None:
        path = self._path(batch)
        row = replace(batch.row, requests=len(batch.keys), at=time.time())
        await self._record(batch, row, *batch.asked)
        batch.asked.clear()
        file = await batch.api.upload(path)
        await self._record(batch, replace(row, state=UPLOADED, file=file, at=time.time()))
        path.unlink()

    async def _create(self, batch: Batch) -> None:
        row, api = batch.row, batch.api
        assert row.file is not None
        for attempt in range(CREATES):
            try:
                made = await api.create(row.file, batch.model.batch_path, row.name)
                break
            except Passing as error:
                if attempt == CREATES - 1:
                    raise
                await asyncio.sleep(error.after_s or PAUSE_S)
                if found := await api.find(row.name):
                    made = found
                    break
        await self._record(batch, row.told(made))

    async def _until_ended(self, batch: Batch) -> BatchState | None:
        """Return how a batch ended; None where its server does not know it any more."""
        pause = batch.model.batching.poll_s if batch.model.batching else PAUSE_S
        while True:
            assert batch.row.remote is not None
            told = None
            try:
                told = await batch.api.state(batch.row.remote)
            except Passing as error:  # a batch takes hours, and so may a fault
                batch.row = replace(batch.row, detail=str(error))
            else:
                if told is None:
                    return None
                row = batch.row.told(told)
                if row != replace(batch.row, at=row.at):
                    await self._record(batch, row)
            if told and told.no_room:
                batch.row = replace(batch.row, state=UPLOADED, remote=None)
                await self._record(batch, batch.row)
                await asyncio.sleep(NO_ROOM_POLLS * pause)
                await self._create(batch)
            elif told and told.status in ENDED:
                return told
            else:
                await asyncio.sleep(pause)

    async def _merge(self, batch: Batch, told: BatchState | None) -> None:
        """Keep all answers, each with its cost, and let the rest be asked again."""
        row, spec = batch.row, batch.model.spec
        if told and told.status == "failed":
            await self._record(batch, row, row.forget())
            raise FatalCall(
                f"{spec}: the provider refused a batch of {counted(row.requests, 'request')} "
                f"({told.detail}): mend that, or go on without --batch"
            )
        path = self._path(batch, ".answers")
        for file in told.files if told else ():
            await batch.api.download(file, path)
            lines = read_lines(path, told.remote if told else "", batch.model.read)
            while some := list(islice(lines, AT_ONCE)):
                await self._keep(batch, some)
            path.unlink()
        batch.again = told is None or told.status != "completed"
        detail = f"{told.status} before its end" if told and batch.again else ""
        state = MERGED if told else GONE
        merged = replace(row, state=state, detail=detail, at=time.time())
        await self._record(batch, merged, row.forget())
        self._merged += 1

    async def _keep(self, batch: Batch, lines: Iterable[BatchLine]) -> None:
        statements = []
        for key, reply, answered in lines:
            if reply is None or key not in batch.keys:
                batch.unclear |= {key} if answered else set()
                continue
            cost = self._budget.cost(batch.model.spec, reply)
            statements.append(batch.row.answer(key, reply, cost))
            self._tally.count(cost)
        await self._ledger.commit(*statements)

    def _say(self) -> None:
        rows = [batch.row for batch in self._under_way.values() if batch.row.remote]
        joining = sum(len(batch.keys) for batch in self._collecting.values())
        self._tally.batches = describe(rows, joining, self._merged)

    # The end.

    async def _heed(self) -> None:
        """Where the run stops: leave batches to their providers, or bring the last ones home."""
        await self._signal.wait()
        if self._signal.error or self._signal.reason == INTERRUPTED:
            self._leave()
        for batch in list(self._collecting.values()):
            batch.full.set()

    def _leave(self) -> None:
        self._leaving = True
        for batch in list(self._under_way.values()):
            if not batch.full.is_set():
                self._path(batch).unlink(missing_ok=True)
            batch.over.set()
