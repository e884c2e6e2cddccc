"""The batch API of the lab's server: `/v1/files` and `/v1/batches`, in memory, with faults.

Format: https://platform.openai.com/docs/api-reference/batch.
"""

from __future__ import annotations

import json
import time
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

from vlsbench.lab._asked import Refused
from vlsbench.lab._faults import draw_number

if TYPE_CHECKING:
    from aiohttp import web

Answer = Callable[[bytes], Awaitable[tuple[int, Mapping[str, Any]]]]
"""Answers the body of a request with a status and a body."""

ENDPOINT = "/v1/chat/completions"
PAGE = 100


class _Line(msgspec.Struct):
    custom_id: str
    body: msgspec.Raw
    url: str = ENDPOINT


def _read(text: bytes) -> _Line:
    """Read a line; its body stays as it is, so that a direct call with it counts as the same."""
    try:
        return msgspec.json.decode(text, type=_Line)
    except ValueError:  # lone surrogates
        line = json.loads(text)
        body = json.dumps(line["body"], separators=(",", ":")).encode()
        return _Line(line["custom_id"], msgspec.Raw(body), line["url"])


@dataclass
class _Job:
    """One batch."""

    id: str
    file: str
    endpoint: str
    metadata: Mapping[str, str]
    ready: float
    """Monotonic time at which it is answered."""
    created: int
    fault: str = ""
    status: str = "in_progress"
    total: int = 0
    failed: int = 0
    answers: list[bytes] = field(default_factory=list)
    errors: list[bytes] = field(default_factory=list)

    def told(self) -> dict[str, Any]:
        """Return the batch object."""
        failed = self.status == "failed"
        full = {"code": "token_limit_exceeded", "message": "Enqueued token limit reached."}
        return {
            "id": self.id,
            "object": "batch",
            "endpoint": self.endpoint,
            "errors": {"data": [full]} if failed else None,
            "input_file_id": self.file,
            "completion_window": "24h",
            "status": self.status,
            "output_file_id": f"{self.id}-answers" if self.answers else None,
            "error_file_id": f"{self.id}-errors" if self.errors else None,
            "created_at": self.created,
            "request_counts": {
                "total": self.total,
                "completed": len(self.answers),
                "failed": self.failed,
            },
            "metadata": dict(self.metadata),
        }


class LabBatches:
    """Files and batches of one server; a batch is answered when it is looked at in time."""

    def __init__(
        self,
        answer: Answer,
        check_key: Callable[[web.Request], None],
        faults: Mapping[str, float],
        seed: int,
        seconds: float,
    ) -> None:
        """Start empty.

        Args:
            answer: Answers one request.
            check_key: Raises where a request has another key than the server's.
            faults: Fault → rate.
            seed: Decides what the faults strike.
            seconds: From a batch's creation to its end.
        """
        self._answer = answer
        self._check_key = check_key
        self._faults = faults
        self._seed = seed
        self._seconds = seconds
        self._files: dict[str, bytes] = {}
        self._jobs: dict[str, _Job] = {}
        self._asked: Counter[str] = Counter()

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """Add its endpoints."""
        router.add_post("/v1/files", self._upload)
        router.add_get("/v1/files/{id}/content", self._content)
        router.add_post("/v1/batches", self._create)
        router.add_get("/v1/batches", self._list)
        router.add_get("/v1/batches/{id}", self._show)
        router.add_post("/v1/batches/{id}/cancel", self._cancel)

    def stats(self) -> dict[str, int]:
        """Count batches, and the requests that were answered in one."""
        answered = sum(len(job.answers) for job in self._jobs.values())
        return {"batches": len(self._jobs), "batched": answered}

    def _strikes(self, fault: str, *what: object) -> bool:
        times = self._asked[f"{fault} {what}"] = self._asked[f"{fault} {what}"] + 1
        return draw_number(self._seed, fault, *what, times) < self._faults.get(fault, 0.0)

    def _check(self, request: web.Request) -> None:
        self._check_key(request)
        if request.method == "GET" and self._strikes("batch_poll", request.path):
            raise Refused(500, "The server had an error.", "server_error")

    def _job(self, request: web.Request) -> _Job:
        job = self._jobs.get(request.match_info["id"])
        if job is None:
            raise Refused(404, "No such batch.", "not_found")
        return job

    async def _upload(self, request: web.Request) -> web.Response:
        from aiohttp import web

        self._check(request)
        form = await request.post()
        file, name = form.get("file"), f"file-{uuid.uuid4().hex[:16]}"
        if form.get("purpose") != "batch" or not isinstance(file, web.FileField):
            raise Refused(400, "expected a file with purpose batch", "invalid_request")
        self._files[name] = file.file.read()
        return _json({"id": name, "object": "file", "bytes": len(self._files[name])})

    async def _content(self, request: web.Request) -> web.Response:
        from aiohttp import web

        self._check(request)
        name = request.match_info["id"]
        if name not in self._files:
            raise Refused(404, "No such file.", "not_found")
        return web.Response(body=self._files[name], content_type="application/octet-stream")

    async def _create(self, request: web.Request) -> web.Response:
        from aiohttp import web

        self._check(request)
        try:
            asked = await request.json()
            file, endpoint = str(asked["input_file_id"]), str(asked["endpoint"])
            metadata = dict(asked.get("metadata") or {})
        except (ValueError, KeyError, TypeError) as error:
            raise Refused(400, f"not a batch: {error!r}", "invalid_request") from None
        if file not in self._files:
            raise Refused(400, "No such file.", "invalid_request")
        number = len(self._jobs)
        name = f"batch_{uuid.uuid4().hex[:16]}"
        faults = ("batch_expired", "batch_cancelled", "batch_full")
        fault = next((one for one in faults if self._strikes(one, number)), "")
        ready = time.monotonic() + self._seconds
        job = _Job(name, file, endpoint, metadata, ready, int(time.time()), fault)
        job.total = self._files[file].count(b"\n")
        self._jobs[name] = job
        if self._strikes("batch_lost", number) and request.transport:
            request.transport.abort()
            return web.Response()
        return _json(job.told())

    async def _list(self, request: web.Request) -> web.Response:
        self._check(request)
        newest = list(reversed(self._jobs.values()))
        after, limit = request.query.get("after"), int(request.query.get("limit", PAGE))
        start = 1 + next((n for n, job in enumerate(newest) if job.id == after), -1)
        page = newest[start : start + limit]
        more = start + limit < len(newest)
        return _json({"object": "list", "data": [job.told() for job in page], "has_more": more})

    async def _show(self, request: web.Request) -> web.Response:
        self._check(request)
        job = self._job(request)
        if job.status == "in_progress" and time.monotonic() >= job.ready:
            await self._run(job)
        return _json(job.told())

    async def _cancel(self, request: web.Request) -> web.Response:
        self._check(request)
        job = self._job(request)
        if job.status == "in_progress":
            job.status = "cancelled"
        return _json(job.told())

    async def _run(self, job: _Job) -> None:
        if job.fault == "batch_full":
            job.status = "failed"
            return
        job.status = "finalizing"
        lines = self._files.pop(job.file).splitlines()
        ends = {"batch_expired": "expired", "batch_cancelled": "cancelled"}
        answered = len(lines) // 2 if job.fault in ends else len(lines)
        for text in lines[:answered]:
            line = _read(text)
            status, body = await self._one(line, job)
            response = {"status_code": status, "request_id": job.id, "body": body}
            told = {"custom_id": line.custom_id, "response": response, "error": None}
            (job.answers if status == 200 else job.errors).append(json.dumps(told).encode())
        for text in lines[answered:]:
            line = _read(text)
            error = {"code": "batch_expired", "message": "This request was not executed in time."}
            late = {"custom_id": line.custom_id, "response": None, "error": error}
            job.errors.append(json.dumps(late).encode())
        job.failed = len(job.errors)
        self._files[f"{job.id}-answers"] = b"\n".join([*job.answers, b""])
        self._files[f"{job.id}-errors"] = b"\n".join([*job.errors, b""])
        job.status = ends.get(job.fault, "completed")

    async def _one(self, line: _Line, job: _Job) -> tuple[int, Mapping[str, Any]]:
        if self._strikes("batch_item", line.custom_id):
            return 500, {"error": {"message": "The server had an error."}}
        if line.url != ENDPOINT or job.endpoint != ENDPOINT:
            return 400, {"error": {"message": f"only {ENDPOINT} is served in batches"}}
        try:
            return await self._answer(bytes(line.body))
        except Refused as refused:
            return refused.status, {"error": {"message": str(refused), "code": refused.code}}


def _json(body: Mapping[str, object]) -> web.Response:
    from aiohttp import web

    return web.json_response(body)
