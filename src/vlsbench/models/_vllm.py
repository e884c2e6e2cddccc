"""Open models in a server of vLLM that is started for them, watched, and ended with the run.

`vllm/NAME?OPTION=VALUE&…` is `vllm serve NAME --OPTION VALUE …` on a free port of this machine
(https://docs.vllm.ai/en/latest/cli/serve.html); an option without `=` is a flag.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from vlsbench.config import Connection
from vlsbench.errors import VlsbenchError
from vlsbench.files import cache_folder
from vlsbench.models._address import read_key
from vlsbench.models._chat import FatalCall, Reply
from vlsbench.models._hf_load import digest_of
from vlsbench.models._http import Server
from vlsbench.text import file_name

PREFIX = "vllm/"
PLACEMENT = ("--data-parallel", "--tensor-parallel", "--pipeline-parallel", "--gpu-memory")
"""Beginnings of options that say where a model runs; they change no answer."""
LOOK_S = 0.5
LEAVE_S = 20.0
STARTS = 2
"""A server that dies is started again once."""
GUARD = 'exec 3<&0; "$@" & child=$!; (read -r _ <&3; kill $child) & wait $child'
"""For `sh`: run a command, and end it when our end of the input closes, however we died."""


class VllmServer(Server):
    """A server of this machine that runs while it is asked."""

    def __init__(self, spec: str, connection: Connection) -> None:
        """Read the spec; nothing is started before the first question.

        Raises:
            VlsbenchError: vLLM is not installed.
        """
        self.name, _, given = spec.removeprefix(PREFIX).partition("?")
        if not shutil.which("vllm"):
            raise VlsbenchError(
                f"model {spec}: no program vllm on this machine: `pip install vllm`, or serve the "
                "model elsewhere and name it NAME@http://host:port/v1"
            )
        options = [f"--{option}" for option in given.split("&") if option]
        self._command = ["sh", "-c", GUARD, "-", "vllm", "serve", self.name, *options]
        # What stands for its address wherever a run is told from another: its port changes.
        told = [option for option in options if not option.startswith(PLACEMENT)]
        if Path(self.name).is_dir():
            told.append(digest_of(Path(self.name)))
        address = " ".join([PREFIX + self.name, *told])
        super().__init__(address, read_key("VLLM_API_KEY"), replace(connection, batch=False))
        self.say: Callable[[str], None] = lambda text: None
        """Shows a person how far the start is."""
        # Of this process: two runs may serve one model at a time.
        self._log = cache_folder() / f"vllm-{file_name(self.name, 'model')}-{os.getpid()}.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._port = self._starts = 0
        self._starting = asyncio.Lock()

    def at(self, path: str) -> str:
        """Return the address of an endpoint."""
        return f"http://127.0.0.1:{self._port}/v1{path}"

    async def _once(
        self, spec: str, path: str, pieces: Sequence[bytes], read: Callable[[bytes], Reply]
    ) -> Reply:
        async with self._starting:  # one starts it for all
            if self._process is None or self._process.poll() is not None:
                await self._start()
        return await super()._once(spec, path, pieces, read)

    async def _start(self) -> None:
        if self._starts == STARTS:
            raise self._failed("died again")
        self._end()
        self._starts += 1
        process, began = self._spawn(), time.monotonic()
        while not await self._is_ready():
            if (status := process.poll()) is not None:
                raise self._failed(f"ended with status {status} as it started")
            took = time.monotonic() - began
            self.say(f"{self.name} starts, {took:.0f} s: {self._last_lines(1)}")
            await asyncio.sleep(LOOK_S)
        self.answered = True
        self.say("")

    def _spawn(self) -> subprocess.Popen[bytes]:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._port = free.getsockname()[1]
        command = [*self._command, "--host", "127.0.0.1", "--port", str(self._port)]
        self._log.parent.mkdir(parents=True, exist_ok=True)
        with self._log.open("wb") as log:
            # In a session of its own: Ctrl-C is for us, who end it once its answers are here.
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True
            )
        return self._process

    async def _is_ready(self) -> bool:
        import aiohttp

        with contextlib.suppress(aiohttp.ClientError, ConnectionError, TimeoutError):
            async with self.session().get(self.at("/models")) as response:
                return response.status == 200
        return False

    def _failed(self, how: str) -> FatalCall:
        return FatalCall(
            f"{PREFIX}{self.name}: `vllm serve` {how} ({self._last_lines(3)}); its output is in "
            f"{self._log}. Answers are on record, and the same command resumes"
        )

    def _last_lines(self, count: int) -> str:
        lines = self._log.read_text("utf-8", "replace").split("\n")
        said = [" ".join(line.split()) for line in lines if line.strip()]
        return self._shortened(" / ".join(said[-count:])) or "it said nothing"

    def _end(self) -> None:
        if self._process is None:
            return
        assert self._process.stdin is not None
        self._process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(LEAVE_S)
        with contextlib.suppress(ProcessLookupError):  # whoever outlived it
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._process = None

    async def close(self) -> None:
        """Close all connections, and end the server; the next question starts another."""
        await super().close()
        await asyncio.to_thread(self._end)
        self._starts, self._starting = 0, asyncio.Lock()
