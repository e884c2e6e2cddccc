"""From what a user calls a set to rows: published sets, the Hub's, and one's own.

Rows of one's own are in TRL's conversational format. A row has `messages`; or `prompt`, `chosen`,
`rejected`; or `prompt`, `completion`, `kind`; or `prompt` alone. Each is a list of messages with
`role` and `content`, or plain text. `images` (or `image`) holds paths relative to the file, or in
Parquet the images themselves. Or they are in ShareGPT's form: `conversations`, a list of turns with
`from` and `value`, in which `<image>` stands for an image (github.com/haotian-liu/LLaVA,
docs/Finetune_Custom_Data.md).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from pathlib import Path, PurePath, PurePosixPath
from typing import Any

from vlsbench.aligning._settings import Method, Row
from vlsbench.aligning.rows import message_fault
from vlsbench.aligning.sets import (
    FORMS,
    TRAINING_SETS,
    Rows,
    TrainingSet,
    assistant,
    made,
    sound_image,
    user,
)
from vlsbench.errors import BadRow, BadRows, VlsbenchError
from vlsbench.files import whole_file
from vlsbench.pairs import (
    Embedded,
    Fields,
    Home,
    ImageError,
    MissingFile,
    RowError,
    StoredImage,
    card_licence,
    fetch,
    home_folder,
    read_pin,
    read_table,
)
from vlsbench.text import did_you_mean

_TURNS = ("messages", "prompt", "chosen", "rejected", "completion")
_ROLES = {
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "assistant": "assistant",
    "system": "system",
}
IMAGE = "<image>"
SUFFIXES = (".jsonl", ".parquet")
"""Files that a folder is searched for; other tables are read where they are named."""
TRAIN = "train"
SPLITS = re.compile(r"(train|test|valid|validation|val|dev|eval)\b.*")
"""What files of a split, or their folder, are called, as on the Hub: `train-00000.parquet`."""

HUB = "hub:"
FREE = re.compile(
    r"apache-2\.0|mit|bsd(-.+)?|cc0-1\.0|cc-by(-sa)?-[1-4]\.0|odc-by|odbl|pddl|unlicense"
    r"|cdla-(permissive|sharing)-.+"
)
"""Licences, as the Hub names them, that let anyone train on a set for any purpose."""
_SPEC = re.compile(
    r"(?P<hub>\w[\w.-]*/\w[\w.-]*)(@(?P<revision>\w[\w.-]*))?(:(?P<split>\w[\w.-]*))?", re.ASCII
)
_FILES = ("*.jsonl", "*.parquet", "*.png", "*.jpg", "*.jpeg", "*.webp", "README.md")


@dataclass
class Data:
    """Rows to train on, and what must be said of them."""

    name: str
    rows: list[Row] = field(default_factory=list)
    bad: list[BadRow] = field(default_factory=list)
    """Left out."""
    licences: dict[str, str] = field(default_factory=dict)
    """Set, published or of the Hub → licence."""
    accepted: tuple[str, ...] = ()
    """Sets whose licence restricts training, and that the user took all the same."""
    fetched: dict[str, dict[str, str]] = field(default_factory=dict)
    """Set → repository and revision."""

    def keep(self, faults: Iterable[str], *, skip_bad: bool) -> None:
        """Leave out the rows that have a fault. Raises `BadRows` where they may not be left out."""
        told = [*zip(self.rows, faults, strict=True)]
        bad = [BadRow(self.name, str(at), why) for at, (_, why) in enumerate(told, 1) if why]
        if bad and (not skip_bad or len(bad) == len(told)):
            raise BadRows(self.name, bad, rest=len(bad) < len(told))
        self.rows = [row for row, why in told if not why]
        self.bad += bad


def open_data(
    specs: Sequence[str], method: Method, *, accept_licence: bool = False, skip_bad: bool = False
) -> Data:
    """Open one or more sets as the rows that a method learns from; see `AlignConfig`.

    Raises:
        BadRows: Some rows cannot be used; lists every one, of all sets.
        VlsbenchError: There is no such set or form, or its licence was not accepted.
    """
    data = Data(" + ".join(specs))
    opened = [_open(spec, method.form, data, accept_licence) for spec in specs]
    for row in chain.from_iterable(opened):
        if isinstance(row, BadRow):
            data.bad.append(row)
        else:
            data.rows.append(row)
    if data.bad and not skip_bad:
        raise BadRows(data.name, data.bad, rest=bool(data.rows))
    return data


def _open(spec: str, form: str, data: Data, accept_licence: bool) -> Rows:
    """Find a set and return its rows; `data` notes what must be said of it."""
    name, _, folder = spec.partition("=")
    known = of_the_hub(spec) if spec.startswith(HUB) else TRAINING_SETS.get(name)
    if known is None:
        return _own(spec)
    if form not in known.serves:
        others = [one.name for one in TRAINING_SETS.values() if form in one.serves]
        raise VlsbenchError(
            f"{known.name} has no {form} rows (it serves {', '.join(known.serves)}); "
            f"take {' or '.join(others)}"
        )
    if not known.free and not accept_licence:
        raise VlsbenchError(
            f"{known.name} is under a licence that restricts training ({known.licence}): read it, "
            "and say --accept-licence if what you train may be trained on it"
        )
    root = Path(folder).expanduser() if folder else fetch(known)
    data.licences[known.name] = known.licence
    data.accepted += () if known.free else (known.name,)
    if pin := read_pin(root):
        data.fetched[pin.name] = {"repository": pin.repository, "revision": pin.revision}
    return known.read(root, form)


def _own(spec: str) -> Rows:
    """Open rows of the user's own."""
    path = Path(spec).expanduser()
    if path.is_file():
        return _read(path, path.name)
    if path.is_dir():
        return read_folder(path)
    near = did_you_mean(spec.partition("=")[0], TRAINING_SETS)
    raise VlsbenchError(
        f"no training set or file {spec!r}: {near}there are {', '.join(TRAINING_SETS)}, "
        "hub:OWNER/NAME, and your own JSONL or Parquet files"
    )


def read_folder(root: Path, split: str = TRAIN) -> Rows:
    """Yield the rows of a folder's files, or of those of one split where they have splits.

    What a fetch from the Hub brought counts, and nothing that lay there before.
    """
    pin = read_pin(root)
    names: Iterable[PurePath] = (path.relative_to(root) for path in root.rglob("*"))
    if pin:
        names = map(PurePosixPath, pin.files)
    files = sorted(name for name in names if name.suffix in SUFFIXES)
    of_split = re.compile(rf"{re.escape(split)}(?![a-zA-Z])")
    chosen = [name for name in files if any(map(of_split.match, name.parts))]
    if not chosen and split == TRAIN:
        chosen = [name for name in files if not any(map(SPLITS.match, name.parts))]
    if not chosen:
        held = f"; it holds {', '.join(map(str, files[:5]))}" if files else ""
        raise MissingFile(f"no {' or '.join(SUFFIXES)} file of the split {split!r} in {root}{held}")
    for name in chosen:
        yield from _read(root / name, str(name))


def _read(path: Path, name: str) -> Rows:
    return made(name, read_table(path), partial(read_row, folder=path.parent))


def read_row(row: Fields, folder: Path) -> Iterator[Row]:
    """Read the training rows of one row of a file, whose images lie under `folder`."""
    images = _images(row.fields.get("images", row.fields.get("image")), folder)
    if row.fields.get("conversations") is not None:
        found: Row = {"messages": _conversation(row.fields["conversations"], len(images))}
    else:
        fields = row.only(*_TURNS)
        found = {key: _turns(key, value) for key, value in fields.items()}
    if not found:
        raise RowError(f"has none of {', '.join((*_TURNS, 'conversations'))}")
    if images:
        found["images"] = images
    yield {**found, **row.only("kind", "harmful")}


def _conversation(turns: object, images: int) -> list[dict[str, str]]:
    """Return ShareGPT's turns as messages."""
    if not isinstance(turns, list) or not all(isinstance(turn, dict) for turn in turns):
        raise RowError("'conversations' must be a list of turns with 'from' and 'value'")
    messages: list[dict[str, str]] = []
    for turn in map(Fields, turns):
        if (speaker := turn.text("from")) not in _ROLES:
            raise RowError(f"'conversations': from {speaker[:20]!r} is not {', '.join(_ROLES)}")
        text, asked = turn.text("value"), [one["role"] for one in messages]
        if (marks := text.count(IMAGE)) and "user" in asked:
            raise RowError(f"{IMAGE} occurs after the first question, where no image can be placed")
        if marks not in (0, images):
            raise RowError(f"{IMAGE} occurs {marks} times, and the row has {images} images")
        messages.append({"role": _ROLES[speaker], "content": text.replace(IMAGE, "").strip()})
    return messages


def _turns(key: str, value: Any) -> list[dict[str, Any]]:
    if isinstance(value, str):
        if key == "messages":
            raise RowError("'messages' is text, not a list of messages")
        if not value.strip():
            raise RowError(f"{key!r} is empty")
        return user(value) if key == "prompt" else assistant(value)
    if fault := message_fault(value):
        raise RowError(f"{key!r}: {fault}")
    return [{"role": one["role"], "content": _content(one["content"])} for one in value]


def _content(content: str | list[Any]) -> str | list[dict[str, Any]]:
    if isinstance(content, str):
        return content
    # Parquet gives every part every field.
    parts = (Fields(part) for part in content if isinstance(part, dict))
    return [part.only("type", "text") for part in parts]


def _images(value: object, folder: Path) -> list[Any]:
    if isinstance(value, Embedded):
        return list(value.images)
    names: list[Any] = value if isinstance(value, list) else [value] if value else []
    if not all(isinstance(name, str) for name in names):
        raise RowError("'images' holds something else than paths")
    return [sound_image(folder, name) for name in names]


def of_the_hub(spec: str) -> TrainingSet:
    """Describe `hub:OWNER/NAME@REVISION:SPLIT`, its licence as its card states it.

    Fetches nothing else; raises `VlsbenchError` where it has another form or the Hub does not
    know it.
    """
    found = _SPEC.fullmatch(spec.removeprefix(HUB))
    if found is None:
        raise VlsbenchError(f"{spec!r} is not hub:OWNER/NAME, with @REVISION or :SPLIT behind it")
    hub, split = found["hub"], found["split"] or TRAIN
    home = Home(hub=hub, revision=found["revision"] or "", files=_FILES)
    name = f"hub/{hub}"
    licence = card_licence(home, home_folder(name))
    return TrainingSet(
        name=name,
        licence=licence or "none stated",
        free=FREE.fullmatch(licence.lower()) is not None,
        home=home,
        serves=FORMS,
        read=lambda root, form: read_folder(root, split),
    )


def unpack(rows: Sequence[Row], folder: Path) -> list[Row]:
    """Write images that lie inside Parquet files out, once, and return rows with their paths.

    A Parquet file is read a row group at a time: to look one image up is to read thousands.
    """
    return [
        {**row, "images": [_unpacked(image, folder) for image in row["images"]]}
        if row.get("images")
        else row
        for row in rows
    ]


def _unpacked(image: object, folder: Path) -> object:
    if not isinstance(image, StoredImage):
        return image
    try:
        data = image.read()
    except ImageError:  # said of all that are bad, once all are known
        return image
    path = folder / data.sha256[:2] / data.sha256
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as part:
            part.write_bytes(data.data)
    return path
