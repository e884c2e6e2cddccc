"""`vlsbench.review`: a review opened and served on this machine, to people with a link each."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vlsbench.config import option, resolve, settings
from vlsbench.errors import MissingExtra, VlsbenchError
from vlsbench.pairs import DatasetSettings, PairSet
from vlsbench.reviewing._review import Review, Status, open_review
from vlsbench.reviewing._store import Store
from vlsbench.reviewing._verdicts import Person, invite
from vlsbench.text import file_name

if TYPE_CHECKING:
    from vlsbench.reviewing._labelling import Labelling

HOST = "127.0.0.1"
"""The loopback only: the pages show what should not be on a network."""
REVIEWS = Path("reviews")
"""Where reviews go unless told otherwise."""

Ready = Callable[[str, Review, Sequence[Person]], None]
"""Is told the address, the review and who has a link, once connections are taken."""


@settings()
class Serving:
    """Who else takes part in the browser, and where."""

    adjudicators: tuple[str, ...] = option(
        "Who decides in the browser where people disagree; may be repeated.",
        default=(),
        flags=("--adjudicator",),
        metavar="NAME",
        whole=True,
    )
    port: int = option("Port; 0 takes any free one and prints it.", default=8710, least=0)


@settings()
class ReviewConfig(Serving, DatasetSettings):
    """The settings of `vlsbench review`, and the keys of its configuration file."""

    reviewers: tuple[str, ...] = option(
        "Who reviews; may be repeated, each has a link.",
        default=(),
        flags=("--reviewer",),
        metavar="NAME",
        whole=True,
    )
    out: Path | None = option(
        "Where verdicts go.", default=None, unset="reviews/DATASET", metavar="DIR"
    )
    limit: int | None = option(
        "Use a random sample of this many pairs.", default=None, least=1, metavar="N"
    )
    seed: int = option("Random seed for sampling.", default=0)

    @property
    def folder(self) -> Path:
        """Where verdicts go."""
        return self.out or folder_for(self.dataset)


def folder_for(dataset: str) -> Path:
    """Return where the review of a set is kept unless told otherwise."""
    return REVIEWS / file_name(dataset, "set", r"\w.=-", "-")


def review(
    dataset: str | os.PathLike[str] | PairSet,
    *,
    config: str | os.PathLike[str] | None = None,
    ready: Ready = lambda address, review, people: None,
    **settings: Any,
) -> Status:
    """Serve a review on this machine until Ctrl-C or SIGTERM: one pair a screen.

    Args:
        dataset: What `load` opens, or an opened set.
        config: A TOML file with the settings.
        ready: Is told where the review is served; `f"{address}/enter/{person.link}"` is a
            person's secret link.
        settings: Fields of `reviewing.ReviewConfig` (`reviewers`, `adjudicators`, `out`, `port`,
            `limit`, …); they override `config`.

    Returns:
        Progress, agreement and what is decided, as the review was left.

    Raises:
        MissingExtra: The extra `review` is not installed.
        VlsbenchError: The set cannot be opened, the port is in use, or the folder holds another
            review.
    """
    named = dataset.name if isinstance(dataset, PairSet) else os.fspath(dataset)
    given = {**settings, "dataset": named}
    found = resolve(ReviewConfig, given, file=Path(config) if config else None)
    reviewers = found.reviewers or (() if found.adjudicators else ("reviewer",))
    people = invite(reviewers, found.adjudicators)
    pairs = dataset if isinstance(dataset, PairSet) else found.load()
    with Store.write(found.folder) as store:
        opened = open_review(
            pairs, store, limit=found.limit, seed=found.seed, skip_bad=found.skip_bad
        )
        serve(opened, people, port=found.port, ready=lambda url, _: ready(url, opened, people))
        return opened.status()


def serve(
    review: Review | Labelling,
    people: Sequence[Person],
    *,
    port: int = 0,
    ready: Callable[[str, Sequence[Person]], None] = lambda address, people: None,
) -> None:
    """Serve a review until Ctrl-C or SIGTERM; `ready` is told the address and who has a link.

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
    try:
        listener = socket.create_server((HOST, port), backlog=128)
    except (OSError, OverflowError) as error:
        raise VlsbenchError(f"port {port}: {error}; choose another --port, or 0 for any") from None
    with listener:
        port = listener.getsockname()[1]
        app = make_app(review, people, port)
        # No access log: its lines would hold the links.
        config = uvicorn.Config(
            app, log_level="warning", access_log=False, server_header=False, ws="none"
        )
        ready(f"http://{HOST}:{port}", people)
        # The server ends well on Ctrl-C, and then passes it on.
        with contextlib.suppress(KeyboardInterrupt):
            uvicorn.Server(config).run(sockets=[listener])
