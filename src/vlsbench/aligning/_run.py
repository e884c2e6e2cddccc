"""`train`: one training from rows to a saved model, whatever the method."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from vlsbench.aligning._arguments import method_defaults
from vlsbench.aligning._model import (
    base_of,
    need_extra,
    open_model,
    open_processor,
    stay_quiet,
)
from vlsbench.aligning._rows import check_rows, digest_rows, kinds_of
from vlsbench.aligning._settings import (
    Method,
    Progress,
    Reward,
    Row,
    Trained,
    TrainingSettings,
)
from vlsbench.errors import VlsbenchError
from vlsbench.files import write_text
from vlsbench.schemas import read_json

NAME_A_REWARD = (
    "give --reward rm:PATH (a reward model), a judge's spec, offline, or a plug-in (docs/align.md "
    "says what each rewards)"
)
RECORD = "align.json"
METRICS = "metrics.jsonl"
FORMAT = 1
"""Version of `align.json`."""


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
        out: Folder for the model in plain Hugging Face format, `align.json` (settings, data,
            versions) and `metrics.jsonl`.
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
    if method.online and reward is None:
        raise VlsbenchError(f"{method} learns from a reward, and none is named: {NAME_A_REWARD}")
    check_rows(method, rows, settings, name)
    need_extra()
    stay_quiet()
    import torch

    from vlsbench.aligning._trainers import Notes, open_trainer

    identity = _identity(method, model, rows, settings)
    checkpoint = _checkpoint(out, identity, settings)
    out.mkdir(parents=True, exist_ok=True)
    _write(out / RECORD, {**identity, "finished": False})
    started = time.monotonic()
    with first_process_first():
        path = base_of(model, out)
    notes = Notes(out / METRICS, progress)
    trainer, parameters = open_trainer(method, path, rows, settings, reward, notes, out)
    if checkpoint is None and _rank() == 0:
        (out / METRICS).unlink(missing_ok=True)
    try:
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    except torch.OutOfMemoryError:
        raise VlsbenchError(
            "the device's memory is full: halve --batch-size and double --gradient-accumulation, "
            "or train an adapter (--lora r=16); --dry-run says what takes how much"
        ) from None
    _save(trainer, path, out, settings)
    trained = Trained(
        path=out,
        steps=trainer.state.global_step,
        seconds=time.monotonic() - started,
        curve=_curve(trainer.state.log_history),
        trainable=parameters.trainable,
        parameters=parameters.total,
    )
    finished = {
        "finished": True,
        "data": {"name": name, "rows": len(rows), "kinds": kinds_of(rows), **dict(about or {})},
        "learning_rate": trainer.args.learning_rate,
        "source": method_defaults(method).source,
        "parameters": asdict(parameters),
        "steps": trained.steps,
        "seconds": round(trained.seconds, 1),
        "versions": versions(),
    }
    _write(out / RECORD, {**identity, **finished})
    return trained


def _save(trainer: Any, path: str, out: Path, settings: TrainingSettings) -> None:
    """Save in plain Hugging Face format, and nothing that only this process could read."""
    merge = settings.lora is not None and settings.lora.merge
    folder = out / "adapter" if merge else out
    trainer.save_model(str(folder))
    if not trainer.is_world_process_zero():
        return
    if merge:
        from peft import PeftModel

        whole = PeftModel.from_pretrained(open_model(path, dtype="auto"), folder)
        whole.merge_and_unload().save_pretrained(out)
        open_processor(path).save_pretrained(out)
    for name in ("training_args.bin", "value_head.pt"):
        (folder / name).unlink(missing_ok=True)


def _identity(
    method: Method, model: str | Path, rows: Sequence[Row], settings: TrainingSettings
) -> dict[str, Any]:
    """Everything that decides what is learnt: a checkpoint of another identity is not taken up."""
    shown = asdict(settings)
    for name in ("resume", "save_steps", "log_steps", "report_to", "workers"):
        shown.pop(name)
    return {
        "format": FORMAT,
        "method": str(method),
        "model": str(model),
        "settings": shown,
        "data_sha256": digest_rows(rows),
    }


def _checkpoint(out: Path, identity: Mapping[str, Any], settings: TrainingSettings) -> Path | None:
    """Return the checkpoint to go on from, None for a fresh start.

    Raises:
        VlsbenchError: The folder holds something that must not be overwritten or continued.
    """
    record = out / RECORD
    checkpoints = sorted(
        out.glob("checkpoint-*"), key=lambda path: int(path.name.rpartition("-")[2])
    )
    if not record.is_file():
        # Of several processes, another may already have begun to write.
        if _rank() == 0 and out.is_dir() and any(out.iterdir()):
            raise VlsbenchError(f"{out} holds something else: give an empty --out")
        return None
    before = read_json(record, dict[str, Any])
    if before.get("finished"):
        raise VlsbenchError(f"{out} holds a finished training: give another --out")
    if not checkpoints:
        return None
    if not settings.resume:
        raise VlsbenchError(f"{out} holds an unfinished training: --resume, or another --out")
    # A setting of 0.1 that changed nothing in what is learnt.
    before.get("settings", {}).pop("cache_features", None)
    plain = json.loads(json.dumps(identity))
    differing = [key for key in plain if plain[key] != before.get(key)]
    if differing:
        raise VlsbenchError(
            f"{out} was begun with other {', '.join(differing)}: resume with the same, or give "
            "another --out"
        )
    return checkpoints[-1]


def versions() -> dict[str, str]:
    """Return the versions of what trains."""
    from importlib.metadata import version

    names = ("vlsbench", "torch", "transformers", "trl", "peft", "accelerate", "datasets")
    return {name: version(name) for name in names}


def _curve(log: Sequence[Mapping[str, Any]]) -> tuple[dict[str, float], ...]:
    return tuple(
        {key: value for key, value in entry.items() if isinstance(value, int | float)}
        for entry in log
        if "loss" in entry
    )


@contextmanager
def first_process_first() -> Iterator[None]:
    """Let the first of several processes go ahead: what it fetches or writes, the others find."""
    if int(os.environ.get("WORLD_SIZE", "1")) < 2:
        yield
        return
    from accelerate import PartialState

    with PartialState().main_process_first():
        yield


def _rank() -> int:
    return int(os.environ.get("RANK", "0"))


def _write(path: Path, record: Mapping[str, Any]) -> None:
    if _rank():
        return
    write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", path)
