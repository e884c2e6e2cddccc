"""A cluster of two nodes, one of which goes in the middle."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("ray")

from tests.engine.on_ray import Steps, on_ray, wait_until
from tests.engine.test_flow import Echo
from vlsbench.engine import Ledger, RunContext

pytestmark = pytest.mark.slow


def test_a_node_that_goes_takes_nothing_with_it(tmp_path: Path) -> None:
    from ray.cluster_utils import Cluster

    import ray

    nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    second = nodes.add_node(num_cpus=1)
    start: Any = ray.init
    start(address=nodes.address, log_to_driver=False, logging_level="error")
    pids = tmp_path / "pids"
    pids.mkdir()
    model = Echo(delay=0.05)

    def both() -> bool:
        """Each node has one of the two processes, and work is under way."""
        return len([*pids.iterdir()]) == 2 and len(model.asked) >= 150

    async def through() -> RunContext:
        async def leave() -> None:
            await asyncio.to_thread(wait_until, both)
            await asyncio.to_thread(nodes.remove_node, second, allow_graceful=False)

        leaving = asyncio.create_task(leave())
        with Ledger.write(tmp_path / "run") as ledger:
            ctx = await on_ray([Steps(model, pids)], [str(n) for n in range(400)], ledger)
            assert len([*ledger.outcomes()]) == 400
        await leaving
        return ctx

    try:
        assert not asyncio.run(through()).signal
    finally:
        stop: Any = ray.shutdown
        stop()
        leave: Any = nodes.shutdown
        leave()
    assert len(model.asked) == 1200
    assert len([*pids.iterdir()]) >= 2
