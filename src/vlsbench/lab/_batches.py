"""The batch API of the lab's server: `/v1/files` and `/v1/batches`, in memory, with faults.

Format: https://platform.openai.com/docs/api-reference/batch.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vlsbench.lab._faults import Refused, Setup, draw_number
from vlsbench.models import to_json

if TYPE_CHECKING:
    from aiohttp import web

Told = dict[str, Any]
Answer = Callable[[bytes], Awaitable[Told]]
"""Answers the body of a request; raises `Refused`."""
ENDPOINT = "/v1/chat/completions"


@dataclass
class _Job:
    told: Told
    """The batch object."""
    ready: float
    """Monotonic time at which it is answered."""
    fault: str


class LabBatches:
    """Files and batches of one server; a batch is answered when it is looked at in time."""

    def __init__(self, answer: Answer, setup: Setup) -> None:
        """Start empty; take what answers a request, and the settings."""
        self._answer = answer
        self._setup = setup
        self._files: dict[str, bytes] = {}
        self._jobs: dict[str, _Job] = {}
        self._asked: Counter[str] = Counter()
        self.routes: Mapping[tuple[str, str], Callable[[web.Request], Awaitable[Told | bytes]]] = {
            ("POST", "/v1/files"): self._upload,
            ("GET", "/v1/files/{id}/content"): self._content,
            ("POST", "/v1/batches"): self._create,
            ("GET", "/v1/batches"): self._list,
            ("GET", "/v1/batches/{id}"): self._show,
        }

    def stats(self) -> dict[str, int]:
        """Count batches, and the requests that were answered in one."""
        counts = (job.told["request_counts"]["completed"] for job in self._jobs.values())
        return {"batches": len(self._jobs), "batched": sum(counts)}

    def strikes(self, fault: str, *what: object) -> bool:
        """Tell whether a fault strikes this time."""
        name = f"{fault} {what}"
        self._asked[name] += 1
        drawn = draw_number(self._setup.seed, fault, *what, self._asked[name])
        return drawn < self._setup.faults.get(fault, 0.0)

    async def _upload(self, request: web.Request) -> Told:
        form = await request.post()
        file, name = getattr(form.get("file"), "file", None), f"file-{time.time_ns():x}"
        if form.get("purpose") != "batch" or file is None:
            raise Refused(400, "expected a file with purpose batch", "invalid_request")
        self._files[name] = file.read()
        return {"id": name, "object": "file", "bytes": len(self._files[name])}

    async def _content(self, request: web.Request) -> bytes:
        if (content := self._files.get(request.match_info["id"])) is None:
            raise Refused(404, "No such file.", "not_found")
        return content

    async def _create(self, request: web.Request) -> Told:
        asked, number = await request.json(), len(self._jobs)
        if asked.get("input_file_id") not in self._files or asked.get("endpoint") != ENDPOINT:
            raise Refused(400, f"no such file, or not for {ENDPOINT}", "invalid_request")
        total = self._files[asked["input_file_id"]].count(b"\n")
        told = {
            **asked,
            "id": f"batch_{time.time_ns():x}",
            "object": "batch",
            "status": "in_progress",
            "created_at": int(time.time()),
            "request_counts": {"total": total, "completed": 0, "failed": 0},
        }
        faults = (fault for fault in ("batch_expired", "batch_full") if self.strikes(fault, number))
        ready = time.monotonic() + self._setup.batch_s
        self._jobs[told["id"]] = _Job(told, ready, next(faults, ""))
        if self.strikes("batch_lost", number) and request.transport:
            request.transport.abort()
        return told

    async def _list(self, request: web.Request) -> Told:
        newest = [job.told for job in reversed(self._jobs.values())]
        after, limit = request.query.get("after"), int(request.query.get("limit", 100))
        start = 1 + next((n for n, told in enumerate(newest) if told["id"] == after), -1)
        end = start + limit
        return {"object": "list", "data": newest[start:end], "has_more": end < len(newest)}

    async def _show(self, request: web.Request) -> Told:
        if (job := self._jobs.get(request.match_info["id"])) is None:
            raise Refused(404, "No such batch.", "not_found")
        if job.told["status"] == "in_progress" and time.monotonic() >= job.ready:
            await self._run(job)
        return job.told

    async def _run(self, job: _Job) -> None:
        told = job.told
        if job.fault == "batch_full":
            full = {"code": "token_limit_exceeded", "message": "Enqueued token limit reached."}
            told |= {"status": "failed", "errors": {"data": [full]}}
            return
        told["status"] = "finalizing"
        lines = self._files.pop(told["input_file_id"]).splitlines()
        answers: list[bytes] = []
        errors: list[bytes] = []
        for number, text in enumerate(lines):
            line = json.loads(text)
            late = {"code": "batch_expired", "message": "Not executed in time."}
            said = {"custom_id": line["custom_id"], "response": None, "error": late}
            if not job.fault or number < len(lines) // 2:
                said |= {"response": await self._one(line), "error": None}
            good = said["response"] and said["response"]["status_code"] == 200
            (answers if good else errors).append(json.dumps(said).encode() + b"\n")
        for kind, some in (("output", answers), ("error", errors)):
            if some:
                told[f"{kind}_file_id"] = name = f"{told['id']}-{kind}"
                self._files[name] = b"".join(some)
        told["request_counts"] |= {"completed": len(answers), "failed": len(errors)}
        told["status"] = "expired" if job.fault else "completed"

    async def _one(self, line: Told) -> Told:
        try:
            if self.strikes("batch_item", line["custom_id"]):
                raise Refused(500, "The server had an error.", "server_error")
            # As a direct call would send it, so that both count as the same.
            return {"status_code": 200, "body": await self._answer(to_json(line["body"]))}
        except Refused as refused:
            return {"status_code": refused.status, "body": refused.body}
