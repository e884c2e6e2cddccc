"""Models in a server of vLLM that is started for them. `vllm` is played by the lab's server."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from tests.engine.on_ray import wait_until
from tests.evaluation.runs import calls_on_record, labels, rows, run
from vlsbench import lab
from vlsbench.errors import EXIT_INTERRUPTED, VlsbenchError
from vlsbench.models import Connections

pytestmark = pytest.mark.long

NAME = "org/seeing-7b"
BENCH = "lab/leaky?n=2"
PLAYED = """#!/bin/sh
echo "$@" >> {there}/asked
for port do :; done  # the last argument
echo $$ >> {there}/pids
{instead}
exec {python} -m vlsbench lab serve --port "$port" --latency 0.05 --model-name {name}=careful
"""


@pytest.fixture
def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on PATH for a program called vllm, which writes what it was asked."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    monkeypatch.setenv("VLSBENCH_HOME", str(tmp_path / "home"))
    return tmp_path / "bin"


def install(there: Path, instead: str = "") -> None:
    told = {"there": there, "python": sys.executable, "name": NAME, "instead": instead}
    (there / "vllm").write_text(PLAYED.format(**told))
    (there / "vllm").chmod(0o755)


def asked(there: Path) -> list[str]:
    return (there / "asked").read_text().splitlines()


def pids(there: Path) -> list[int]:
    return [*map(int, (there / "pids").read_text().split())]


def is_alive(pid: int) -> bool:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, 0)
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    return False


def all_gone(there: Path, within_s: float = 10.0) -> bool:
    """Whether all servers end in time."""
    until = time.monotonic() + within_s
    while any(map(is_alive, pids(there))) and time.monotonic() < until:
        time.sleep(0.05)
    return not any(map(is_alive, pids(there)))


def test_one_server_is_started_with_its_options_and_ended_with_the_run(
    there: Path, tmp_path: Path
) -> None:
    install(there)
    spec = f"vllm/{NAME}?data-parallel-size=8&trust-remote-code"
    with lab.running() as url:
        plain = run(BENCH, tmp_path / "plain" / "r", model=f"careful@{url}", judge="offline")
    done = run(BENCH, tmp_path / "r", model=spec, judge=spec)  # which does not know how to judge
    assert [row["reply"] for row in rows(done)] == [row["reply"] for row in rows(plain)]
    (command,) = asked(there)
    serve, _, _ = command.partition(" --host ")
    assert serve == f"serve {NAME} --data-parallel-size=8 --trust-remote-code"
    assert all_gone(there)
    # Where it runs is no part of a run: nothing is asked again.
    elsewhere = f"vllm/{NAME}?trust-remote-code"
    assert run(BENCH, tmp_path / "r", model=elsewhere, judge=elsewhere).since
    assert len(asked(there)) == 1


def test_a_server_that_does_not_start_ends_the_run_with_its_last_words(
    there: Path, tmp_path: Path
) -> None:
    install(there, instead="echo loading; echo CUDA out of memory >&2; exit 3")
    said = r"ended with status 3 as it started \(loading / CUDA out of memory\); its output is in"
    with pytest.raises(VlsbenchError, match=said):
        run(BENCH, tmp_path / "r", model=f"vllm/{NAME}", judge="offline")


@pytest.mark.parametrize("times", [1, 2])
def test_a_server_that_dies_is_started_again_once(times: int, there: Path, tmp_path: Path) -> None:
    install(there)
    out = tmp_path / "r"

    def kill() -> None:
        for killed in range(1, times + 1):
            wait_until(lambda killed=killed: calls_on_record(out) >= 4 * killed)  # type: ignore[misc]
            os.kill(pids(there)[-1], signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    asked_for: dict[str, Any] = {"model": f"vllm/{NAME}", "judge": "offline", "concurrency": 1}
    try:
        if times == 1:
            assert len(labels(run("lab/leaky?n=24", out, **asked_for))) == 24
        else:
            with pytest.raises(VlsbenchError, match=r"died again .* resumes"):
                run("lab/leaky?n=24", out, **asked_for)
    finally:
        killer.join()
    assert len(asked(there)) == 2
    assert all_gone(there)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_no_server_outlives_its_run(number: int, there: Path, tmp_path: Path) -> None:
    install(there)
    out = tmp_path / "r"
    command = [
        *(sys.executable, "-m", "vlsbench", "eval", "lab/leaky?n=60", "--out", str(out)),
        *("--model", f"vllm/{NAME}", "--judge", "offline", "--concurrency", "1"),
    ]
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    ) as process:
        wait_until(lambda: calls_on_record(out) >= 3)
        os.killpg(process.pid, number)
    assert process.returncode == (EXIT_INTERRUPTED if number == signal.SIGINT else -number)
    assert all_gone(there)


def test_without_vllm_the_remedy_is_one_line(there: Path) -> None:
    with pytest.raises(VlsbenchError, match=r"no program vllm .* `pip install vllm`, or"):
        Connections().open(f"vllm/{NAME}")


@pytest.mark.parametrize("spec", ["vllm", "vllm/", "openai", "hf/", "inspect"])
def test_a_form_without_a_name_is_one_line(spec: str) -> None:
    with pytest.raises(VlsbenchError, match=rf"model {spec} has no name: give openai/NAME, "):
        Connections().open(spec)
