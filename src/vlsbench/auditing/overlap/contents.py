"""What stands for an image: words of its benchmark, a caption, text read by OCR, or the image.

Pairs of which nothing else says what their images show get captions by a model, or the text that
Tesseract reads in them; a model like CLIP needs no words.
"""

from __future__ import annotations

import asyncio
import hashlib
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import compress
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from vlsbench.auditing.overlap.background import QUESTIONS, empty_images
from vlsbench.auditing.overlap.figures import ContentKind
from vlsbench.auditing.overlap.measure import Nothing, Numbers
from vlsbench.config import Connection
from vlsbench.embed import CachedEmbedder, Clip, Vectors
from vlsbench.engine import (
    Context,
    CostBudget,
    Flow,
    Job,
    Keep,
    Ledger,
    Probe,
    Quarantine,
    Record,
    Result,
    Stage,
)
from vlsbench.errors import MissingExtra, VlsbenchError
from vlsbench.models import (
    ChatModel,
    Connections,
    Finish,
    Params,
    Price,
    Request,
    call_key,
    price_of,
)
from vlsbench.pairs import Image, ImageError, Pair, PairSet, decode

POOL = 2048
"""Images of the set that a rank is taken among: all of a smaller set, else a sample."""
TIE = 1e-5
"""Similarities closer than this are equal: vectors are kept in half precision."""
BATCH = 32
"""Images whose files are in memory at a time, and of one pass through the model."""
THREADS = 4
"""That read and decode: no more images than that are in memory at full size."""

Look = Callable[[Pair], str]
Given = TypeVar("Given")
Made = TypeVar("Made")
CAPTION = "caption"
PROMPT_VERSION = "1"
"""Changes with the prompt; a test pins its hash to it."""
PROMPT = """\
Say in one or two plain sentences what can be seen here: the things, the people and what they do, \
and the place. Use the ordinary word for everything. Do not judge, guess at intentions, or \
describe style and mood. Leave out any writing; it is read by other means.\
"""
"""Plain words, because they are held against the words of queries."""
PARAMS = Params(max_tokens=256)
TEXT = "text"
SURE = 60
"""Tesseract's confidence, 0 to 100, below which a word in a photograph is mostly texture."""
LETTERS = 2
"""A shorter run of letters is more often an edge than a word."""
TIMEOUT_S = 60
OCR_WIDTH = 2
"""Images read at a time; every one keeps a core busy."""
OWN = (ContentKind.DESCRIPTION, ContentKind.KEY_PHRASE)


class Content(NamedTuple):
    """What an image shows, in words, and who says so; or the image itself."""

    kind: ContentKind
    text: str = ""
    images: tuple[Image, ...] = ()


Embed = Callable[[Sequence[Content]], tuple[Vectors, Sequence[bool]]]
"""Gives contents' vectors, shape (n, d), and which of them could be had, shape (n,)."""


def content_of(pair: Pair, caption: Look | None = None, text: Look | None = None) -> Content | None:
    """Return what a pair's image shows: as the benchmark says, else a caption, else its text.

    `caption` and `text` look up a caption, and what is written in the images.
    """
    said = (
        (ContentKind.DESCRIPTION, pair.description),
        # MM-SafetyBench: what was moved from the question into the image.
        (ContentKind.KEY_PHRASE, str(pair.meta.get("Key Phrase", ""))),
        (ContentKind.CAPTION, caption(pair) if caption else ""),
        (ContentKind.TYPOGRAPHIC, text(pair) if text else ""),
        # FigStep: the sentence that its images show.
        (ContentKind.TYPOGRAPHIC, str(pair.meta.get("instruction", "")) if pair.images else ""),
    )
    return next((Content(kind, words) for kind, words in said if words.strip()), None)


def _number_of(cluster: str) -> int:
    """Name a cluster by 63 bits."""
    digest = hashlib.blake2b(cluster.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest) >> 1


@dataclass(frozen=True)
class Pool:
    """A sample of the set's images: those with the smallest hashes, so no order matters."""

    numbers: NDArray[np.int64]
    vectors: Vectors
    images: int
    """Distinct images in the whole set."""

    @classmethod
    def of(cls, contents: Iterable[tuple[str, Content]], embed: Embed) -> Pool:
        """Draw the sample from all contents of a set, each with its cluster."""
        images: dict[int, Content] = {}
        for cluster, content in contents:
            images.setdefault(_number_of(cluster), content)
        drawn = sorted(images)[:POOL]
        vectors, had = embed([images[number] for number in drawn])
        known = np.array(had, np.bool_)
        return cls(np.array(drawn, dtype=np.int64)[known], vectors[known], len(images))

    def ranks(self, queries: Vectors, contents: Vectors, clusters: Sequence[str]) -> Numbers:
        """Return the share of the set's images that fit each query as well as its own."""
        own = np.einsum("nd,nd->n", queries, contents)[:, None]
        others = queries @ self.vectors.T
        numbers = np.array([_number_of(cluster) for cluster in clusters], dtype=np.int64)
        different = self.numbers[None, :] != numbers[:, None]
        better = ((others > own + TIE) & different).sum(axis=1)
        equal = ((np.abs(others - own) <= TIE) & different).sum(axis=1)
        seen = np.maximum(1, different.sum(axis=1))
        share = (better + equal / 2) / seen
        return np.asarray((1 + share * (self.images - 1)) / self.images)


class ImageVectors:
    """Gives the vectors of pairs' images, remembered by what is in their files."""

    def __init__(self, clip: Clip, cached: CachedEmbedder) -> None:
        """Take the model, and the same model behind a cache."""
        self._clip, self._cached = clip, cached
        self.unread: set[str] = set()
        """Names (`Image.ref`) of images that cannot be read."""
        empty = self._rows(empty_images())
        self.background = Nothing(
            image=np.stack(list(empty.values())).mean(axis=0, dtype=np.float32),
            question=cached.embed(QUESTIONS).mean(axis=0),
            scale=clip.scale,
        )

    def embed(self, contents: Sequence[Content]) -> tuple[Vectors, Sequence[bool]]:
        """Return a vector for each content: of several images, their mean direction.

        Shape (contents, d), and of which all images could be read, shape (contents,).
        """
        rows = self._rows(image for content in contents for image in content.images)
        vectors = np.zeros((len(contents), len(self.background.image)), np.float32)
        whole = [all(image.ref in rows for image in content.images) for content in contents]
        for vector, content in compress(zip(vectors, contents, strict=True), whole):
            shown = [rows[image.ref] for image in content.images]
            total = np.sum(shown, axis=0, dtype=np.float32)
            vector[:] = total / np.linalg.norm(total)
        return vectors, whole

    def _rows(self, images: Iterable[Image]) -> dict[str, Vectors]:
        """Return a vector, shape (d,), for every image that can be read, by its name."""
        wanted = list({image.ref: image for image in images}.items())
        found: dict[str, Vectors] = {}
        with ThreadPoolExecutor(THREADS) as pool:
            for start in range(0, len(wanted), BATCH):
                batch = dict(wanted[start : start + BATCH])
                read = self._try(lambda image: image.read(), batch, pool)
                keys = {ref: self._key(image.sha256) for ref, image in read.items()}
                known = self._cached.known(keys.values())
                new = {ref: image for ref, image in read.items() if keys[ref] not in known}
                if pixels := self._try(self._clip.pixels, new, pool):
                    made = self._clip.embed_pixels(list(pixels.values()))
                    known |= self._cached.keep([keys[ref] for ref in pixels], made)
                found |= {ref: known[key] for ref, key in keys.items() if key in known}
        return found

    def _key(self, sha256: str) -> bytes:
        return hashlib.sha256(f"{self._clip.digest}/picture\0{sha256}".encode()).digest()[:16]

    def _try(
        self, make: Callable[[Given], Made], given: dict[str, Given], pool: ThreadPoolExecutor
    ) -> dict[str, Made]:
        """Make something of each image; those of which it cannot be made are left out."""

        def one(ref: str) -> Made | None:
            try:
                return make(given[ref])
            except ImageError:
                self.unread.add(ref)
                return None

        made = zip(given, pool.map(one, given), strict=True)
        return {ref: found for ref, found in made if found is not None}


def records_of(kind: str, pairs: Iterable[Pair]) -> Iterator[Record]:
    """Yield one record for each distinct set of images."""
    seen: set[str] = set()
    for pair in pairs:
        if pair.images and pair.cluster not in seen:
            seen.add(pair.cluster)
            yield Record(f"{kind}:{pair.cluster}", pair)


def look_up(ledger: Ledger, kind: str) -> Callable[[Pair], str]:
    """Return a look-up of what a stage read from a pair's images; empty where it read nothing."""

    def look(pair: Pair) -> str:
        outcome = ledger.outcome(f"{kind}:{pair.cluster}") if pair.images else None
        return str(outcome.value.get(kind, "")) if outcome else ""

    return look


def require_tesseract() -> None:
    """Raise `MissingExtra` or `VlsbenchError` where pytesseract or the program is missing."""
    if not find_spec("pytesseract"):
        raise MissingExtra("reading text in images", "audit")
    if not shutil.which("tesseract"):
        raise VlsbenchError(
            "reading text in images needs the program tesseract "
            "(Debian, Ubuntu: apt install tesseract-ocr); or leave --ocr out"
        )


class CaptionStage:
    """Asks for the caption of one pair's images."""

    name = CAPTION
    version = PROMPT_VERSION

    def __init__(self, captioner: ChatModel) -> None:
        """Take the model."""
        self._captioner = captioner
        self.probe = Probe.plain(captioner, PARAMS)

    async def run(self, record: Record, ctx: Context) -> Result:
        """Ask once; a refusal, an empty or a filtered answer is no caption."""
        pair: Pair = record.value
        try:
            images = tuple(
                await asyncio.gather(*(ctx.in_thread(image.read) for image in pair.images))
            )
        except ImageError as error:
            return Quarantine("image_unreadable", {"detail": str(error)})
        request = Request(PROMPT, images, params=PARAMS, sample=ctx.epoch(record.id, CAPTION))
        reply = await ctx.call("captioner", self._captioner, request)
        call = call_key(self._captioner.identity, request)
        text = " ".join(reply.text.split())
        if reply.finish not in (Finish.STOP, Finish.LENGTH) or not text:
            return Quarantine("no_caption", {"finish": str(reply.finish), "call": call})
        return Keep({CAPTION: text, "call": call})


def _text_in(image: Image) -> str:
    """Return the words in an image that Tesseract is sure of, in reading order."""
    import pytesseract

    try:
        table = pytesseract.image_to_data(
            decode(image.read()), output_type=pytesseract.Output.DICT, timeout=TIMEOUT_S
        )
    except (OSError, ValueError, RuntimeError) as error:
        raise ImageError(f"image {image.ref}: no text can be read ({error})") from None
    sure = (
        word.strip()
        for word, confidence in zip(table["text"], table["conf"], strict=True)
        if float(confidence) >= SURE
    )
    return " ".join(word for word in sure if sum(map(str.isalpha, word)) >= LETTERS)


class TextStage:
    """Reads the text of one pair's images."""

    name = TEXT
    version = "1"

    async def run(self, record: Record, ctx: Context) -> Result:
        """Keep the text, empty where there is none."""
        pair: Pair = record.value
        try:
            read = [await ctx.in_thread(_text_in, image) for image in pair.images]
        except ImageError as error:
            return Quarantine("image_unreadable", {"detail": str(error)})
        return Keep({TEXT: " ".join(filter(None, read))})


def undescribed(pairs: Iterable[Pair]) -> Iterator[Pair]:
    """Walk the pairs of which their benchmark does not say what their images show."""
    for pair in pairs:
        content = content_of(pair)
        if content is None or content.kind not in OWN:
            yield pair


def read_images(
    pairs: PairSet,
    ledger: Ledger,
    *,
    captioner: str | None,
    ocr: bool,
    budget: CostBudget,
    connection: Connection,
    progress: bool,
    say: Callable[[str], None],
) -> tuple[str, dict[str, Callable[[Pair], str]]]:
    """Have captions written and texts read, where they are wanted.

    Returns:
        Why it stopped early, empty where it did not; and look-ups of what was read, by `caption`
        and `text`.
    """
    prices: dict[str, Price | None] = {}

    def read(stage: Stage, source: Callable[[], Iterable[Pair]], *models: ChatModel) -> str:
        say(f"{captioner if models else 'Tesseract'} reads the images")
        stop = Job(
            identity=None,
            facts={},
            steps=(Flow((stage,), lambda: records_of(stage.name, source())),),
            models=models,
            prices=prices,
            budget=budget,
            connection=connection,
            width=None if models else OCR_WIDTH,
            total=len({pair.cluster for pair in source() if pair.images}),
            counts=lambda outcome: outcome.stage == stage.name,
            reuse=(),
            progress=progress,
            probes=[stage.probe] if isinstance(stage, CaptionStage) else (),
        ).run(ledger)
        if stop.error:
            raise stop.error
        return stop.reason or ""

    stopped, looks = "", dict[str, Callable[[Pair], str]]()
    if ocr:
        require_tesseract()
        looks[TEXT] = look_up(ledger, TEXT)
    if captioner:
        model = Connections(connection).open(captioner)
        prices[model.spec] = price_of(model.spec)
        budget.need_prices(prices, "bound the calls (--max-calls) and not their cost")
        stopped = read(CaptionStage(model), lambda: undescribed(pairs), model)
        looks[CAPTION] = look_up(ledger, CAPTION)
    if ocr and not stopped:
        stopped = read(TextStage(), lambda: pairs)
    return stopped, looks
