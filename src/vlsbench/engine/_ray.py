"""Stages in actors of Ray. The coordinator alone asks servers, and owns the ledger and the budget.

An actor runs `Stage.run` with a context whose questions travel to the coordinator as items of a
stream, and come back as calls of `StageActor.answer`. So a lost actor loses nothing: calls that it
waited for end in the ledger, and its records begin again in another actor, from the ledger.

Models in this process (`hf/…`) have replicas in actors of their own, one for each GPU.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import socket
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

from vlsbench.config import Connection
from vlsbench.engine._actors import Asked, Ended, ModelActor, StageActor
from vlsbench.engine._context import Record, Result, RunContext, Stage
from vlsbench.engine._flow import Executor
from vlsbench.engine._wire import Store, Wire
from vlsbench.errors import MissingExtra, VlsbenchError
from vlsbench.models import FatalCall, Model, Reply, Request
from vlsbench.text import first_line

LOSSES = 20
"""How often a record begins again because its actor was lost, before the run stops."""
PAUSE_S = 0.5
"""After a loss, before the next try."""
REACHED_S = 10.0
"""How long a cluster's address may take to answer."""
AT_ONCE = 10_000
"""Records and answers that an actor takes at once; how many there are, the job decides."""


class _Pool:
    """Actors of one kind; one that is lost is replaced, and joins once it runs."""

    def __init__(self, start: Callable[[], Any], count: int) -> None:
        self._start = start
        self._load: Counter[Any] = Counter()
        self._joined = asyncio.Event()
        self._starting = {asyncio.create_task(self._join()) for _ in range(count)}

    async def _join(self) -> None:
        for _ in range(LOSSES):
            actor = self._start()
            try:
                await actor.__ray_ready__.remote()
            except _lost() as error:
                reason = str(error).strip().rpartition("\n")[2]
                if getattr(error, "actor_init_failed", False):
                    raise FatalCall(f"an actor of Ray cannot start: {reason}") from None
                await asyncio.sleep(PAUSE_S)
                continue
            self._load[actor] = 0
            self._joined.set()
            return
        raise FatalCall(f"actors of Ray are lost before they start: {reason}")

    @contextlib.asynccontextmanager
    async def actor(self) -> AsyncIterator[Any]:
        """Lend the actor with the least to do; one that is lost meanwhile leaves the pool."""
        while not self._load:
            self._joined.clear()
            failed = [one for one in self._starting if one.done() and one.exception()]
            if failed:
                failed[0].result()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._joined.wait(), PAUSE_S)
        chosen = min(self._load, key=lambda one: self._load[one])
        self._load[chosen] += 1
        try:
            yield chosen
        except _lost():
            if self._load.pop(chosen, None) is not None:
                self._starting.add(asyncio.create_task(self._join()))
            raise
        finally:
            if chosen in self._load:
                self._load[chosen] -= 1

    def close(self) -> None:
        import ray

        for task in self._starting:
            task.cancel()
        for actor in self._load:
            ray.kill(actor)


def _lost() -> tuple[type[Exception], ...]:
    from ray import exceptions

    return (
        exceptions.RayActorError,
        exceptions.ObjectLostError,
        exceptions.WorkerCrashedError,
        exceptions.NodeDiedError,
    )


class _Replicas:
    """A model of this process that answers in actors; a `ChatModel`."""

    def __init__(self, model: Any, wire: Wire, sent: dict[str, Any], gpus: int) -> None:
        import cloudpickle

        import ray

        self.spec, self.endpoint, self.identity = model.spec, model.endpoint, model.identity
        self._wire = wire
        kind = ray.remote(ModelActor).options(
            num_cpus=0, num_gpus=1 if gpus else 0, max_concurrency=AT_ONCE
        )
        recipe = cloudpickle.dumps(model.replica())
        self._pool = _Pool(lambda: kind.remote(sent, recipe), gpus or 1)

    async def ask(self, request: Request) -> Reply:
        asked = self._wire.dumps(request)
        answer = await _until_kept(self.spec, self._pool, lambda one: one.ask.remote(asked))
        reply = self._wire.loads(answer)
        if isinstance(reply, Exception):
            raise reply
        kept: Reply = reply
        return kept

    async def close(self) -> None:
        self._pool.close()


async def _until_kept(what: str, pool: _Pool, ask: Callable[[Any], Any]) -> Any:
    """Ask an actor, and another one where it is lost."""
    for _ in range(LOSSES):
        try:
            async with pool.actor() as actor:
                return await ask(actor)
        except _lost() as error:
            reason = first_line(error)
            await asyncio.sleep(PAUSE_S)
    raise FatalCall(f"{what}: lost {LOSSES} times on Ray ({reason}); the same command resumes")


def _reach(address: str) -> None:
    """Raise `OSError` where no gRPC server says its settings; Ray asks for a minute, and aborts."""
    host, mark, port = address.removeprefix("ray://").rpartition(":")
    if mark and port.isdecimal():
        place = host.strip("[]"), int(port)
        with socket.create_connection(place, REACHED_S) as server:
            if not server.recv(1):
                raise ConnectionError("it hangs up")


class RayExecutor(Executor):
    """Runs stages in actors."""

    def __init__(self, connection: Connection, models: Sequence[Model]) -> None:
        """Join the cluster in `RAY_ADDRESS`, or start one of this machine; start the actors.

        Raises:
            MissingExtra: Ray is not installed.
            VlsbenchError: No cluster answers.
        """
        try:
            import ray
        except ImportError:
            raise MissingExtra("--executor ray", "ray") from None
        store = Store(connection.image_store) if connection.image_store else None
        self._ours = not ray.is_initialized()
        if self._ours:
            start: Any = ray.init
            where = os.environ.get("RAY_ADDRESS", "")
            try:
                _reach(where)
                alone = {} if where else {"include_dashboard": False}
                start(log_to_driver=False, logging_level="error", **alone)
            except (OSError, RuntimeError, ValueError) as error:
                what, remedy = "of this machine", "`ray stop` forgets one that is gone"
                if where:
                    what = f"at RAY_ADDRESS={where}"
                    remedy = "one that was started with a token needs RAY_AUTH_MODE=token"
                said = f"no Ray cluster {what}: {first_line(error)}; {remedy}"
                raise VlsbenchError(said) from None
        cluster: Any = ray
        alive = sum(node["Alive"] for node in cluster.nodes())
        wire: dict[str, Any] = {"store": store, "follows": alive > 1}
        self._wire = Wire(**wire, owns=True)
        resources = cluster.cluster_resources()
        # The coordinator keeps no room for itself: actors wait for it most of their time.
        count = connection.actors or max(1, int(resources.get("CPU", 1)))
        share = min(1.0, resources.get("CPU", 1.0) / count)
        make = ray.remote(StageActor).options(num_cpus=share, max_concurrency=AT_ONCE)
        self._actors = _Pool(lambda: make.remote(wire), count)
        gpus = int(resources.get("GPU", 0))
        self._replicas = {
            id(model): _Replicas(model, self._wire, wire, gpus)
            for model in models
            if hasattr(model, "replica")
        }
        self._stages: dict[int, tuple[Stage, Any]] = {}
        self._tokens = itertools.count()

    async def run(self, stage: Stage, record: Record, ctx: RunContext) -> Result:
        """Run a stage in an actor, again in another where that one is lost.

        A stage that cannot travel, because it holds something open, runs here.
        """
        known = self._known(stage)
        if known is None:
            await ctx.note(f"The stage {stage.name} cannot travel, and ran beside the ledger.")
            return await stage.run(record, ctx)
        sent = await asyncio.to_thread(self._wire.dumps, record)
        epoch = ctx.epoch(record.id, stage.name)

        async def once(actor: Any) -> Result:
            token = next(self._tokens)
            streaming = actor.run.options(num_returns="streaming")
            answering: set[asyncio.Task[None]] = set()
            async for item in streaming.remote(token, [known], sent, epoch):
                message = self._wire.loads(await item)
                if isinstance(message, Ended):
                    ctx.tally.total += message.expected
                    if isinstance(message.result, Exception):
                        raise message.result
                    return message.result
                task = asyncio.create_task(self._answer(actor, token, message, ctx))
                answering.add(task)
                task.add_done_callback(answering.discard)
            raise AssertionError("a stage's stream ends with how it ended")

        result: Result = await _until_kept(f"record {record.id}", self._actors, once)
        return result

    def _known(self, stage: Stage) -> Any:
        import ray

        if id(stage) not in self._stages:
            try:
                known = ray.put(self._wire.dumps(stage))
            except Exception:  # whatever pickling raises: locks, pools, sockets
                known = None
            self._stages[id(stage)] = stage, known
        return self._stages[id(stage)][1]

    async def _answer(self, actor: Any, token: int, asked: Asked, ctx: RunContext) -> None:
        try:
            answer = self._wire.dumps(await self._asked(asked, ctx))
        except Exception as error:  # the stage raises it, and its record's turn ends with it
            answer = self._wire.dumps(error)
        with contextlib.suppress(*_lost()):  # its record begins again elsewhere
            await actor.answer.remote(token, asked.number, answer)

    async def _asked(self, asked: Asked, ctx: RunContext) -> Any:
        if asked.what != "call":
            return await getattr(ctx, asked.what)(*asked.given)
        role, model, request = asked.given
        reply = await ctx.call(role, self._replicas.get(id(model), model), request)
        return reply, dict(model.identity)

    async def close(self) -> None:
        """Stop the actors, and the cluster where it was started here."""
        import ray

        self._actors.close()
        for replicas in self._replicas.values():
            await replicas.close()
        if self._ours:
            ray.shutdown()
