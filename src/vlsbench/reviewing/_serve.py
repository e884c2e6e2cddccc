"""Serving a review on this machine, until it is stopped."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Sequence

from vlsbench.errors import MissingExtra, VlsbenchError
from vlsbench.reviewing._people import Person
from vlsbench.reviewing._review import Review

HOST = "127.0.0.1"
"""The loopback only: the pages show what should not be on a network."""


def serve(
    review: Review,
    people: Sequence[Person],
    *,
    port: int = 0,
    ready: Callable[[str], None] = lambda url: None,
) -> None:
    """Serve a review until Ctrl-C or SIGTERM.

    Args:
        review: What is reviewed.
        people: Who has a link; see `invite`.
        port: 0 takes any free one.
        ready: Is told the address, without the links, once connections are taken.

    Raises:
        MissingExtra: The extra `review` is not installed.
        VlsbenchError: The port is in use, or someone took part in another role before.
    """
    try:
        import python_multipart  # noqa: F401  (starlette reads forms with it)
        import uvicorn

        from vlsbench.reviewing.app import make_app
    except ImportError:
        raise MissingExtra("vlsbench review", "review") from None
    if port > 65535:
        raise VlsbenchError(f"port {port}: there are none above 65535; 0 takes any free one")
    try:
        listener = socket.create_server((HOST, port), backlog=128)
    except OSError as error:
        raise VlsbenchError(
            f"port {port}: {error.strerror}; choose another --port, or 0 for any"
        ) from None
    with listener:
        port = listener.getsockname()[1]
        app = make_app(review, people, port)
        # No access log: its lines would hold the links.
        config = uvicorn.Config(
            app, log_level="warning", access_log=False, server_header=False, ws="none"
        )
        ready(f"http://{HOST}:{port}")
        # The server ends well on Ctrl-C, and then passes it on.
        with contextlib.suppress(KeyboardInterrupt):
            uvicorn.Server(config).run(sockets=[listener])
