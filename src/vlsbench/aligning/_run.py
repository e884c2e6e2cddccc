"""`train`: one training from rows to a saved model; `plan_training`: what it would be."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from importlib.metadata import version
from pathlib import Path
from typing import Any

from vlsbench.aligning._settings import (
    Lora,
    Method,
    Progress,
    Reward,
    Row,
    Trained,
    TrainingSettings,
)
from vlsbench.aligning.model import (
    Parameters,
    base_of,
    empty_model,
    filled,
    learning,
    need_extra,
    open_processor,
    stay_quiet,
)
from vlsbench.aligning.rows import check_rows, digest_rows, kinds_of
from vlsbench.errors import VlsbenchError
from vlsbench.files import output_folder, write_text
from vlsbench.schemas import read_json

RECORD = "align.json"
METRICS = "metrics.jsonl"
FORMAT = 1
"""Version of `align.json`."""
PACKAGES = ("vlsbench", "torch", "transformers", "trl", "peft", "accelerate", "datasets")
"""What trains."""
_DECISIVE = {one.name for one in fields(TrainingSettings)} - {
    *("resume", "save_steps", "log_steps", "report_to", "workers")
}
"""Settings that decide what is learnt."""
SAMPLED = 32
"""Rows that a plan encodes."""
_GONE: Mapping[str, object] = {"max_grad_norm": 1.0, "by_length": False, "bound": None}
"""Settings of earlier versions that decided it too → what still holds."""


def need_reward(method: Method, reward: object) -> None:
    """Raise `VlsbenchError` where a method learns from a reward and there is none."""
    if method.online and not reward:
        raise VlsbenchError(
            f"{method} learns from a reward, and none is named: give --reward rm:PATH (a reward "
            "model), a judge's spec, offline, or a plug-in (docs/align.md says what each rewards)"
        )


def train(
    method: Method | str,
    *,
    model: str | Path,
    rows: Sequence[Row],
    out: str | Path,
    settings: TrainingSettings | None = None,
    reward: Reward | None = None,
    progress: Progress | None = None,
    name: str = "rows",
    about: Mapping[str, Any] | None = None,
) -> Trained:
    """Train a vision-language model and save it.

    Args:
        method: How.
        model: Path or Hub id; the output of an earlier training too, adapters included.
        rows: The data, in the form that the method needs (`Row`).
        out: Folder for the model in Hugging Face format, `align.json` and `metrics.jsonl`.
        settings: How to train.
        reward: Of sampled answers; online methods need one.
        progress: Is told how far it is.
        name: What to call the data in errors and in the record.
        about: What else the record should say (where the data came from, licences accepted).

    Raises:
        BadRows: Some rows do not fit the method; lists every one.
        MissingExtra: The extra `align` is not installed.
        VlsbenchError: The model cannot be opened, or the folder holds another training.
    """
    method, settings, out = Method(method), settings or TrainingSettings(), Path(out)
    need_reward(method, reward)
    check_rows(method, rows, settings, name)
    need_extra()
    identity = {
        "format": FORMAT,
        "method": str(method),
        "model": str(model),
        "settings": {key: value for key, value in asdict(settings).items() if key in _DECISIVE},
        "data_sha256": digest_rows(rows),
    }
    checkpoint = _checkpoint(out, identity, resume=settings.resume)
    stay_quiet()
    import torch

    from vlsbench.aligning._trainers import Notes, open_trainer

    output_folder(out)
    _write(out, identity, finished=False)
    started = time.monotonic()
    with first_process_first():
        path = base_of(model, out)
    notes = Notes(out / METRICS, progress)
    trainer, parameters = open_trainer(method, path, rows, settings, reward, notes, out)
    if checkpoint is None and _rank() == 0:
        (out / METRICS).unlink(missing_ok=True)
    try:
        trainer.train(resume_from_checkpoint=checkpoint)
    except torch.OutOfMemoryError:
        raise VlsbenchError(
            "the device's memory is full: halve --batch-size and double --gradient-accumulation, "
            "or train an adapter (--lora r=16)"
        ) from None
    trained = _saved(trainer, out, parameters, time.monotonic() - started)
    _write(
        out,
        identity,
        finished=True,
        data={"name": name, "rows": len(rows), "kinds": kinds_of(rows), **(about or {})},
        learning_rate=trainer.args.learning_rate,
        parameters=asdict(parameters),
        steps=trained.steps,
        seconds=round(trained.seconds, 1),
        versions={package: version(package) for package in PACKAGES},
    )
    return trained


def _saved(trainer: Any, out: Path, parameters: Parameters, seconds: float) -> Trained:
    trainer.save_model(str(out))
    if trainer.is_world_process_zero():
        # What only this process could read.
        for file in ("training_args.bin", "value_head.pt"):
            (out / file).unlink(missing_ok=True)
    return Trained(
        path=out,
        steps=trainer.state.global_step,
        seconds=seconds,
        curve=tuple(
            {key: value for key, value in entry.items() if isinstance(value, int | float)}
            for entry in trainer.state.log_history
            if "loss" in entry
        ),
        trainable=parameters.trainable,
        parameters=parameters.total,
    )


@dataclass(frozen=True, slots=True)
class TrainingPlan:
    """What would be trained."""

    method: Method
    model: str
    rows: int
    kinds: Mapping[str, int]
    """Kind, and whether there is an image → rows."""
    parameters: Parameters
    lora_layers: int
    """Linear layers with an adapter."""
    learning_rate: float


def plan_training(
    method: Method | str,
    *,
    model: str | Path,
    rows: Sequence[Row],
    settings: TrainingSettings | None = None,
    name: str = "rows",
) -> TrainingPlan:
    """Say what `train` with the same arguments would be, before it costs anything.

    Of the model, configuration and processor are read, never the weights.

    Raises:
        BadRows: Some rows do not fit the method.
        VlsbenchError: The configuration cannot be read, or no layer has a name that LoRA targets.
    """
    method = Method(method)
    need_extra()
    settings = filled(method, settings or TrainingSettings())
    check_rows(method, rows, settings, name)
    parameters, layers = learning(empty_model(model), settings)
    _try(open_processor(model), rows, settings, name)
    rate = settings.learning_rate or 0.0
    return TrainingPlan(method, str(model), len(rows), kinds_of(rows), parameters, layers, rate)


def _try(processor: Any, rows: Sequence[Row], settings: TrainingSettings, name: str) -> None:
    """Encode some rows, which says what is wrong with them or with the chat template."""
    from vlsbench.aligning.encode import Encoder

    sample = rows[:: max(1, len(rows) // SAMPLED)][:SAMPLED]
    encoder = Encoder(processor, sample, max_length=settings.max_length, cache_bytes=0)
    encoder.check(name)
    for place in range(len(sample)):
        encoder[place]


def _checkpoint(out: Path, identity: Mapping[str, Any], *, resume: bool) -> str | None:
    """Return the checkpoint to resume from, None for a fresh start.

    Raises `VlsbenchError` where the folder holds what must not be overwritten or resumed.
    """
    if not (out / RECORD).is_file():
        # Of several processes, another may already have begun to write.
        if _rank() == 0 and out.is_dir() and any(out.iterdir()):
            raise VlsbenchError(f"{out} holds something else: give an empty --out")
        return None
    before = read_json(out / RECORD, dict[str, Any])
    if before.get("finished"):
        raise VlsbenchError(f"{out} holds a finished training: give another --out")
    checkpoints = [(int(path.name.rpartition("-")[2]), path) for path in out.glob("checkpoint-*")]
    if not checkpoints:
        return None
    if not resume:
        raise VlsbenchError(f"{out} holds an unfinished training: --resume, or another --out")
    plain = json.loads(json.dumps(identity))
    told = before["settings"]
    if gone := [key for key, held in _GONE.items() if told.get(key, held) != held]:
        raise VlsbenchError(
            f"{out} was begun with {', '.join(f'{key} {told[key]}' for key in gone)}, which this "
            "version cannot: give another --out"
        )
    # Other settings of an earlier version that there are no more decided nothing.
    known = {key: value for key, value in told.items() if key in plain["settings"]}
    if lora := known.get("lora"):
        known["lora"] = {key: lora[key] for key in lora if lora[key] or hasattr(Lora, key)}
    found = {**before, "settings": known}
    if differing := [key for key in plain if plain[key] != found.get(key)]:
        raise VlsbenchError(
            f"{out} was begun with other {', '.join(differing)}: resume with the same, or give "
            "another --out"
        )
    return str(max(checkpoints)[1])


@contextmanager
def first_process_first() -> Iterator[None]:
    """Let the first of several processes go ahead: what it fetches or writes, the others find."""
    if int(os.environ.get("WORLD_SIZE", "1")) < 2:
        yield
        return
    import torch
    from accelerate import PartialState
    from accelerate.utils import parse_flag_from_env

    # Without it, processes on CPUs would each train for themselves.
    os.environ.setdefault("ACCELERATE_USE_CPU", str(not torch.accelerator.is_available()))
    with PartialState(cpu=parse_flag_from_env("ACCELERATE_USE_CPU")).main_process_first():
        yield


def _rank() -> int:
    return int(os.environ.get("RANK", "0"))


def _write(out: Path, identity: Mapping[str, Any], **more: Any) -> None:
    if _rank() == 0:
        record = json.dumps({**identity, **more}, indent=1, ensure_ascii=False)
        write_text(f"{record}\n", out / RECORD)
