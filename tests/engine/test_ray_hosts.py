"""Two hosts: network namespaces joined by a wire that is cut in the middle of a run."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

pytest.importorskip("ray")

from tests.engine.on_ray import wait_until
from tests.evaluation.runs import calls_on_record
from vlsbench.engine import Ledger

pytestmark = pytest.mark.slow

PAIRS = 80
PORT = "6399"
SEES_LOSS_SOON = {
    "RAY_health_check_initial_delay_ms": "1000",
    "RAY_health_check_period_ms": "500",
    "RAY_health_check_timeout_ms": "1000",
    "RAY_health_check_failure_threshold": "3",
    "RAY_AUTH_MODE": "disabled",
}
VLSBENCH = [sys.executable, "-m", "vlsbench"]


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


@dataclass(frozen=True)
class Host:
    """A network namespace with an end of the wire."""

    name: str
    address: str
    disk: Path
    """Where Ray keeps its sockets, and notes which cluster this machine has."""

    def start(self, *command: str) -> subprocess.Popen[str]:
        where = {**os.environ, **SEES_LOSS_SOON, "RAY_ADDRESS": f"10.231.7.1:{PORT}"}
        where["RAY_TMPDIR"] = str(self.disk)
        inside = ["ip", "netns", "exec", self.name, *command]
        return subprocess.Popen(inside, env=where, stdout=subprocess.DEVNULL, text=True)

    def run_ray(self, *options: str, instead: str = "true") -> subprocess.Popen[str]:
        """Be a node of Ray with one CPU, and with disks of its own where some are put instead."""
        ray = f"ray start --node-ip-address {self.address} --num-cpus 1 --block"
        shell = f"{instead} && exec {ray} --disable-usage-stats {' '.join(options)}"
        return self.start("unshare", "--mount", "sh", "-c", shell)

    def leave(self) -> None:
        pids = subprocess.run(
            ["ip", "netns", "pids", self.name], capture_output=True, text=True, check=False
        )
        for pid in pids.stdout.split():
            subprocess.run(["kill", "-9", pid], check=False, capture_output=True)
        ip("netns", "del", self.name)


@pytest.fixture
def hosts() -> Iterator[tuple[Host, Host]]:
    """Two hosts that see nobody but each other."""
    with ExitStack() as stack:
        # A socket's path has 107 characters at most, which pytest's folders would take up.
        disks = (Path(stack.enter_context(TemporaryDirectory(dir="/tmp"))) for _ in range(2))
        one, two = (
            Host(f"vls{os.getpid()}{n}", f"10.231.7.{n}", disk) for n, disk in enumerate(disks, 1)
        )
        try:
            for host in (one, two):
                ip("netns", "add", host.name)
                stack.callback(host.leave)
            ip("link", "add", "w1", "netns", one.name, "type", "veth", "peer", "name", "w2")
            ip("link", "set", "w2", "netns", two.name)
            for host, wire in ((one, "w1"), (two, "w2")):
                ip("-n", host.name, "addr", "add", f"{host.address}/24", "dev", wire)
                for device in ("lo", wire):
                    ip("-n", host.name, "link", "set", device, "up")
        except (OSError, subprocess.CalledProcessError):
            pytest.skip("no network namespaces for this user")
        yield one, two


@pytest.mark.parametrize("store", [True, False], ids=["store", "bytes"])
def test_a_host_that_is_cut_off_takes_nothing_with_it(
    store: bool, hosts: tuple[Host, Host], tmp_path: Path
) -> None:
    one, two = hosts
    data, images, out = tmp_path / "data", tmp_path / "images", tmp_path / "there" / "r"
    bench = f"lab/leaky?n={PAIRS}"
    subprocess.run([*VLSBENCH, "lab", "write", bench, "--out", str(data)], check=True)
    one.run_ray("--head", "--port", PORT, "--include-dashboard=false")
    # The second host does not see the images.
    two.run_ray("--address", f"{one.address}:{PORT}", instead=f"mount -t tmpfs none {data}")
    one.start(*VLSBENCH, "lab", "serve", "--port", "8700", "--latency", "0.3")
    asked = [
        *(*VLSBENCH, "eval", str(data), "--model", "careful@http://127.0.0.1:8700/v1"),
        *("--judge", "offline", "--concurrency", "4", "--gallery", "0", "--out"),
    ]
    wait_until(lambda: nodes(one) == 2)
    stored = ["--image-store", f"file://{images}"] if store else []
    far = one.start(*asked, str(out), "--executor", "ray", "--actors", "2", *stored)
    wait_until(lambda: calls_on_record(out) >= PAIRS // 3)
    assert calls_on_record(out) < PAIRS
    ip("-n", two.name, "link", "set", "w2", "down")
    assert far.wait() == 0
    here = tmp_path / "here" / "r"
    assert one.start(*asked, str(here)).wait() == 0
    with Ledger.read(out) as there, Ledger.read(here) as near:
        assert [*there.outcomes()] == [*near.outcomes()]
        # One call a pair, and the two harmless questions; a lost host costs none.
        assert there.count_calls() == near.count_calls()
    assert images.exists() == store


def nodes(host: Host) -> int:
    """Return how many nodes of Ray are alive."""
    count = "import ray; ray.init(logging_level='error'); raise SystemExit(len(ray.nodes()))"
    return host.start(sys.executable, "-c", count).wait()
