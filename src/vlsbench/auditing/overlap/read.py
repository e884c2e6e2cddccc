"""What images show and what is written in them: captions by a model, text by Tesseract."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Iterable, Iterator
from importlib.util import find_spec

from vlsbench.auditing.overlap.contents import content_of
from vlsbench.auditing.overlap.figures import ContentKind
from vlsbench.config import Connection
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
