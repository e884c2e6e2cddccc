"""A Hub and a GitHub in miniature, over real HTTP, that serve harmless sets and fail on request."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

COMMIT = "c0ffee" + "0" * 34
OTHER = "7ea" + "0" * 37


@dataclass
class Homes:
    """What the server holds and how it misbehaves."""

    files: dict[str, bytes] = field(default_factory=dict)
    licence: str = ""
    """What its card states."""
    commit: str = COMMIT
    """What the main branch is at."""
    gated: bool = False
    cut: bool = False
    """Close the connection in the middle of every file."""
    lacks: int = 0
    """Close it so many bytes before the end of every file."""
    tree_down: bool = False
    """Answer 404 to the listing of files (a 503 is retried for a long time)."""
    archive: bytes | None = None
    """Served by the GitHub side; by default made of `files`."""
    requests: list[str] = field(default_factory=list)
    tokens: set[str] = field(default_factory=set)
    url: str = ""

    def environment(self, folder: Path) -> dict[str, str]:
        """Return the environment in which a fresh process takes this server for the Hub.

        The Hub's client reads it when it is imported. `folder` is where its cache goes.
        """
        return {
            **{name: value for name, value in os.environ.items() if not name.startswith("HF_")},
            "HF_ENDPOINT": self.url,
            "HF_HOME": str(folder / "hf"),
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_DISABLE_XET": "1",
        }


@contextmanager
def serving(homes: Homes) -> Iterator[Homes]:
    """Serve `homes` on a free local port while the block runs."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: object) -> None:
            pass

        def do_GET(self) -> None:
            _answer(self, homes)

        do_HEAD = do_GET  # noqa: N815

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    homes.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield homes
    finally:
        server.shutdown()
        server.server_close()


def _answer(request: BaseHTTPRequestHandler, homes: Homes) -> None:
    path = unquote(urlsplit(request.path).path)
    homes.requests.append(f"{request.command} {path}")
    if token := request.headers.get("Authorization"):
        homes.tokens.add(token)
    parts = path.strip("/").split("/")
    if path.endswith(".tar.gz"):
        body = homes.archive if homes.archive is not None else archive(homes.files, homes.commit)
        _send(request, homes, 200, body, whole=not homes.cut)
    elif parts[:2] == ["api", "datasets"] and parts[4] == "revision":
        _send(request, homes, 200, json.dumps(_info(homes, "/".join(parts[2:4]))).encode())
    elif homes.tree_down and parts[4:5] == ["tree"]:
        _send(request, homes, 404, b"{}")
    elif parts[:2] == ["api", "datasets"] and parts[4] == "tree":
        tree = [
            {"type": "file", "path": name, "size": len(data), "oid": _oid(data)}
            for name, data in homes.files.items()
        ]
        _send(request, homes, 200, json.dumps(tree).encode())
    elif parts[0] == "datasets" and parts[3] == "resolve":
        if homes.gated and not request.headers.get("Authorization"):
            headers = {"X-Error-Code": "GatedRepo", "X-Error-Message": "Access is restricted"}
            _send(request, homes, 401, b"{}", headers)
            return
        data = homes.files["/".join(parts[5:])]
        headers = {"ETag": f'"{_oid(data)}"', "X-Repo-Commit": parts[4], "Accept-Ranges": "bytes"}
        start = request.headers.get("Range", "").removeprefix("bytes=").partition("-")[0]
        if start and int(start):
            at = int(start)
            headers["Content-Range"] = f"bytes {at}-{len(data) - 1}/{len(data)}"
            _send(request, homes, 206, data[at:], headers, whole=not homes.cut)
        else:
            _send(request, homes, 200, data, headers, whole=not homes.cut)
    else:
        _send(request, homes, 404, b"{}")


def _send(
    request: BaseHTTPRequestHandler,
    homes: Homes,
    status: int,
    body: bytes,
    headers: Mapping[str, str] | None = None,
    whole: bool = True,
) -> None:
    request.send_response(status)
    for name, value in (headers or {}).items():
        request.send_header(name, value)
    request.send_header("Content-Length", str(len(body)))
    request.end_headers()
    if request.command == "GET":
        missing = homes.lacks if whole else len(body) // 2
        request.wfile.write(body[: len(body) - missing])
        request.close_connection = missing > 0


def _info(homes: Homes, id: str) -> dict[str, object]:
    return {
        "id": id,
        "sha": homes.commit,
        "cardData": {"license": homes.licence} if homes.licence else {},
        "siblings": [
            {"rfilename": name, "size": len(data), "blobId": _oid(data)}
            for name, data in homes.files.items()
        ],
    }


def _oid(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def archive(
    files: Mapping[str, bytes], commit: str, extra: tuple[tarfile.TarInfo, ...] = ()
) -> bytes:
    """Pack files as GitHub does: one top folder, the commit in the header."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", pax_headers={"comment": commit}) as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(f"kitchen-{commit}/{name}")
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
        for member in extra:
            tar.addfile(member)
    return buffer.getvalue()
