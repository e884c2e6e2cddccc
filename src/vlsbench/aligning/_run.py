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

from vlsbench.aligning._arguments import common_arguments
from vlsbench.aligning._model import (
    Parameters,
    base_of,
    count,
    freeze,
    lora_config,
    need_extra,
    open_model,
    open_processor,
    stay_quiet,
    weights_dtype,
)
from vlsbench.aligning._rows import check_rows, digest_rows, kinds_of
from vlsbench.aligning._settings import (
    Method,
    Progress,
    Reward,
    Row,
    Settings,
    Trained,
    method_defaults,
)
from vlsbench.errors import VlsbenchError
from vlsbench.files import write_text
from vlsbench.schemas import read_json

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
    settings: Settings | None = None,
    reward: Reward | None = None,
    progress: Progress | None = None,
    name: str = "rows",
    about: Mapping[str, Any] | None = None,
) -> Trained:
    """Train a vision-language model and save it.

    Args:
        method: How.
        model: Path or Hub id of the model; the output of an earlier training too, adapters
            included.
        rows: The data, in the form that the method needs (`Row`).
        out: Folder for the model in plain Hugging Face format, `align.json` (settings, data,
            versions) and `metrics.jsonl`.
        settings: How to train.
        reward: Of sampled answers; online methods need one.
        progress: Is told how far it is.
        name: What to call the data in errors and in the record.
        about: What else the record should say (where the data came from, licences accepted).

    Returns:
        Where it is, and how it went.

    Raises:
        BadRows: Some rows do not fit the method; lists every one.
        MissingExtra: The extra `align` is not installed.
        VlsbenchError: The model cannot be opened, or the folder holds another training.
    """
    method = Method(method)
    settings = settings or Settings()
    if method.online and reward is None:
        raise VlsbenchError(
            f"{method} learns from a reward, and none is named: give --reward rm:PATH (a reward "
            "model), a judge's spec, offline, or a plug-in (docs/align.md says what each rewards)"
        )
    check_rows(method, rows, settings, name)
    need_extra()
    stay_quiet()
    import torch

    out = Path(out)
    identity = _identity(method, model, rows, settings)
    checkpoint = _checkpoint(out, identity, settings)
    out.mkdir(parents=True, exist_ok=True)
    _write(out / RECORD, {**identity, "finished": False})
    started = time.monotonic()
    with first_process_first():
        path = base_of(model, out)
    trainer, parameters = _trainer(method, path, rows, out, settings, reward, progress)
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
    curve = tuple(_numbers(entry) for entry in trainer.state.log_history)
    trained = Trained(
        path=out,
        steps=trainer.state.global_step,
        seconds=time.monotonic() - started,
        curve=tuple(entry for entry in curve if "loss" in entry),
        trainable=parameters.trainable,
        parameters=parameters.total,
    )
    if trainer.is_world_process_zero():
        record = {
            **identity,
            "finished": True,
            "data": {"name": name, "rows": len(rows), "kinds": kinds_of(rows), **dict(about or {})},
            "learning_rate": trainer.args.learning_rate,
            "source": method_defaults(method).source,
            "parameters": asdict(parameters),
            "steps": trained.steps,
            "seconds": round(trained.seconds, 1),
            "versions": versions(),
        }
        _write(out / RECORD, record)
    return trained


def _trainer(
    method: Method,
    path: str,
    rows: Sequence[Row],
    out: Path,
    settings: Settings,
    reward: Reward | None,
    progress: Progress | None,
) -> tuple[Any, Parameters]:
    """Open the model and make the method's trainer."""
    from transformers import PrinterCallback, set_seed

    from vlsbench.aligning._callbacks import Notes
    from vlsbench.aligning._encode import CACHE_BYTES, Encoder
    from vlsbench.aligning._features import FEATURE_BYTES, Looker

    set_seed(settings.seed)
    processor = open_processor(path)
    dtype = weights_dtype(settings)
    model = open_model(path, dtype=dtype)
    parameters = freeze(model, settings)
    arguments = common_arguments(method, settings, out, parameters.total)
    defaults = method_defaults(method, lora=settings.lora is not None)
    lora = lora_config(model, settings.lora) if settings.lora else None
    options: dict[str, Any] = {"callbacks": [Notes(out / METRICS, progress)]}
    kl = defaults.kl if settings.kl is None else settings.kl
    beta = defaults.beta if settings.beta is None else settings.beta
    see, room = None, 0 if settings.workers else CACHE_BYTES
    if settings.cache_features and method.supervised:
        see, room = Looker(model, settings), FEATURE_BYTES
    encoder = Encoder(processor, rows, max_length=settings.max_length, cache_bytes=room, see=see)
    encoder.check("rows")
    made: Any
    if method.supervised:
        from vlsbench.aligning import _sft

        made = _sft.trainer(model, encoder, arguments, peft_config=lora, **options)
    elif method.preference:
        from vlsbench.aligning import _dpo

        reference = None if lora else open_model(path, dtype=dtype)
        made = _dpo.trainer(
            model,
            reference,
            encoder,
            arguments,
            beta=beta,
            sft_weight=settings.sft_weight,
            peft_config=lora,
            **options,
        )
    elif method.unlearning:
        from vlsbench.aligning import _unlearning

        made = _unlearning.trainer(
            model,
            encoder,
            arguments,
            safe=method is Method.T_SAFE_UNLEARNING,
            bound=settings.bound,
            alpha=settings.alpha,
            beta=beta,
            theta=settings.theta,
            peft_config=lora,
            **options,
        )
        made.remember_reference()
    elif method is Method.MM_PPO:
        from vlsbench.aligning import _ppo

        reference = None if lora else open_model(path, dtype=dtype)
        if lora:
            from peft import get_peft_model

            model = get_peft_model(model, lora)
        assert reward is not None
        made = _ppo.PPOTrainer(
            policy=model,
            reference=reference,
            encoder=encoder,
            rows=rows,
            reward=reward,
            settings=settings,
            kl=kl,
            arguments=arguments,
            **options,
        )
    else:
        from vlsbench.aligning import _online

        assert reward is not None
        made = _online.trainer(
            model,
            processor,
            rows,
            reward,
            arguments,
            settings,
            group_relative=method is Method.MM_GRPO,
            kl=kl,
            peft_config=lora,
            **options,
        )
    # It prints every log entry; `Notes` keeps them.
    made.remove_callback(PrinterCallback)
    return made, count(made.model, parameters.frozen_vision)


def _save(trainer: Any, path: str, out: Path, settings: Settings) -> None:
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
    method: Method, model: str | Path, rows: Sequence[Row], settings: Settings
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


def _checkpoint(out: Path, identity: Mapping[str, Any], settings: Settings) -> Path | None:
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


def _numbers(entry: Mapping[str, Any]) -> dict[str, float]:
    return {key: value for key, value in entry.items() if isinstance(value, int | float)}


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
