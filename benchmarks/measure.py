"""Runs one client against a fresh server, in a process of its own, and says what it took."""

from __future__ import annotations

import os
import pty
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import server
from benchmarks.clients.chat import JUDGE, TARGET


@dataclass(frozen=True, slots=True)
class Cost:
    """What one process took. Small values of `peak_mb` are bounded below by this process's own."""

    calls: int
    calls_s: float
    """By the server's clock: from the first byte asked to the last answer; no start-up in it."""
    wall_s: float
    """The whole command, start-up and writing of results in it."""
    cpu_s: float
    """Of the client, user and system."""
    server_cpu_s: float
    other_cpu_s: float
    """Of everything else on the machine meanwhile, the kernel included. A run in which it is not
    small says more about the neighbours than about the client."""
    peak_mb: float
    """Largest resident set, MiB."""
    most_busy: int
    """The most calls at once, as the server saw it."""


def pin(cores: int) -> None:
    """Keep this process and its children on the first `cores` cores, server and client together."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])


def measured(command: Callable[[str], Sequence[str]], *, delay: float = 0.2, port: int = 0) -> Cost:
    """Run a client to its end.

    Args:
        command: Base URL of the server → what to execute.
        delay: Seconds that the server takes for an answer.

    Raises:
        SystemExit: The client failed; its output is shown.
    """
    with server.running(delay, port) as up:
        argv = list(command(up.url))
        busy, started = _busy_s(), time.monotonic()
        status, output, cpu_s, peak_mb = _run(argv)
        wall_s, busy = time.monotonic() - started, _busy_s() - busy
        stats = up.stats()
    if status:
        raise SystemExit(f"{' '.join(argv)} ended with {status}\n{output}")
    calls = stats["target"] + stats["judge"]
    rate = calls / stats["span_s"] if calls else 0.0
    return Cost(
        calls=calls,
        calls_s=rate,
        wall_s=wall_s,
        cpu_s=cpu_s,
        server_cpu_s=stats["cpu_s"],
        other_cpu_s=max(0.0, busy - cpu_s - stats["cpu_s"]),
        peak_mb=peak_mb,
        most_busy=stats["most_busy"],
    )


def _busy_s() -> float:
    """CPU seconds that all cores have worked since the machine started (proc(5): user to steal)."""
    with open("/proc/stat") as file:
        user, nice, system, _idle, _iowait, irq, softirq, steal = map(
            int, file.readline().split()[1:9]
        )
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def _run(argv: Sequence[str]) -> tuple[int, str, float, float]:
    """Run on a terminal, so that who shows progress there pays for it here."""
    near, far = pty.openpty()
    process = subprocess.Popen(
        argv,
        stdin=subprocess.DEVNULL,
        stdout=far,
        stderr=far,
        env=os.environ | {"TERM": "xterm-256color", "COLUMNS": "120", "LINES": "40"},
    )
    os.close(far)
    output = b"".join(_until_closed(near)).decode(errors="replace")
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    cpu_s = usage.ru_utime + usage.ru_stime
    return process.returncode, output, cpu_s, usage.ru_maxrss / 1024


def _until_closed(terminal: int) -> Iterator[bytes]:
    try:
        while data := os.read(terminal, 65536):
            yield data
    except OSError:  # Linux says EIO once the last writer has gone
        return
    finally:
        os.close(terminal)


def ours(
    folder: Path, url: str, connections: int, out: Path, *, offline: bool = False
) -> list[str]:
    """The command of this package, everything on, as a user would type it."""
    return [
        str(Path(sys.executable).with_name("vlsbench")),
        "eval",
        str(folder),
        *("--model", f"{TARGET}@{url}"),
        *("--judge", "offline" if offline else f"{JUDGE}@{url}"),
        *("--concurrency", str(connections)),
        *("--out", str(out)),
    ]


def median(costs: Iterable[Cost], field: str) -> float:
    """Median of one field over repeats."""
    return statistics.median([float(getattr(cost, field)) for cost in costs])
