"""What a training is: its method, its settings, and what it leaves behind."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple

from vlsbench.config import option, settings
from vlsbench.errors import VlsbenchError
from vlsbench.schemas import convert, parse_value, read_toml

Row = dict[str, Any]
"""One training example in TRL's conversational format, with its images.

`messages` (SFT), `prompt`, `chosen`, `rejected` (DPO), `prompt`, `completion`, `kind` (unlearning)
or `prompt` alone (online); `images` is a list of PIL images, paths, bytes or `pairs.Image`. An
answer that is not the last message of a row is context, never a target.
"""

Reward = Callable[[Sequence[Row], Sequence[str]], Sequence[float]]
"""From the rows asked and the answers sampled to one number each, higher is better."""

Progress = Callable[[int, int], None]
"""Is told the optimiser's steps done and the steps there will be."""


class Method(StrEnum):
    """How a model is aligned; `t-` learns from text alone, `mm-` from images and text."""

    SFT = "sft"
    """Supervised, on rows with and without images mixed."""
    T_SFT = "t-sft"
    T_DPO = "t-dpo"
    T_UNLEARNING = "t-unlearning"
    T_SAFE_UNLEARNING = "t-safe-unlearning"
    MM_SFT = "mm-sft"
    MM_DPO = "mm-dpo"
    MM_PPO = "mm-ppo"
    MM_GRPO = "mm-grpo"

    @property
    def textual(self) -> bool:
        """Whether images are refused."""
        return self.value.startswith("t-")

    @property
    def multimodal(self) -> bool:
        """Whether rows without images are refused unless `text_rows` allows them."""
        return self.value.startswith("mm-")

    @property
    def kind(self) -> Kind:
        """What it learns from, and how where nothing else is said."""
        return _KINDS[self.value.removeprefix("t-").removeprefix("mm-")]

    @property
    def form(self) -> str:
        """What its rows hold: `sft`, `preference`, `unlearning` or `prompts`."""
        return self.kind.form

    @property
    def online(self) -> bool:
        """Whether the model learns from its own samples and a reward."""
        return self.form == "prompts"


class Kind(NamedTuple):
    """What methods have in common that differ in what they look at. docs/align.md has sources."""

    form: str
    rate: float
    """Learning rate of a whole model."""
    lora_rate: float
    """Of an adapter, which wants larger steps."""
    beta: float = 0.1
    kl: float = 0.0


_KINDS = {
    "sft": Kind("sft", 2e-5, 2e-4),
    "dpo": Kind("preference", 1e-6, 2e-5),
    "unlearning": Kind("unlearning", 2e-5, 2e-5),
    "safe-unlearning": Kind("unlearning", 2e-5, 2e-5, beta=1.0),
    "ppo": Kind("prompts", 5e-7, 1e-6, kl=0.1),
    "grpo": Kind("prompts", 1e-6, 2e-5),
}


@dataclass(frozen=True, slots=True)
class Lora:
    """Low-rank adaptation (Hu et al. 2021, arXiv 2106.09685) in place of all parameters."""

    r: int = 16
    alpha: int = 32
    dropout: float = 0.0
    targets: str = ""
    """Regular expression over module names; empty takes the language model's linear layers."""


def parse_lora(text: str) -> dict[str, Any]:
    """Read `r=16,alpha=32`; raises `SchemaError` where it is not of `Lora`."""
    parts = (part.partition("=") for part in text.split(","))
    found = {name.strip(): parse_value(value) for name, _, value in parts}
    convert(found, Lora, "--lora")
    return found


@settings(panel="How")
class Learning:
    """How every method trains."""

    epochs: float = option("Passes over the data.", default=1.0)
    max_steps: int | None = option(
        "Optimiser steps, whatever the epochs.", default=None, least=1, metavar="N"
    )
    learning_rate: float | None = option(
        "Step size.", default=None, flags=("--learning-rate", "--lr"), unset="the method's"
    )
    scheduler: str = option(
        "A name that transformers knows: cosine, linear, constant, …", default="cosine"
    )
    warmup: float = option("Steps, or a share of all steps where below 1.", default=0.0)
    weight_decay: float = option("Weight decay of AdamW.", default=0.0)
    batch_size: int = option(
        "Rows (online: samples) per device and backward pass.", default=8, least=1
    )
    gradient_accumulation: int = option("Backward passes per step.", default=1, least=1)
    lora: Lora | None = option(
        "Train an adapter: r=16,alpha=32; fields of docs/align.md.",
        default=None,
        parse=parse_lora,
        metavar="FIELD=VALUE,…",
    )
    freeze_vision: bool = option(
        "Freeze the vision tower; the projector is trained.",
        default=True,
        flags=("--freeze-vision/--train-vision",),
    )
    bf16: bool | None = option(
        "Compute in bfloat16.",
        default=None,
        flags=("--bf16/--no-bf16",),
        unset="where the device can",
    )
    gradient_checkpointing: bool | None = option(
        "Recompute activations to save memory.",
        default=None,
        flags=("--gradient-checkpointing/--no-gradient-checkpointing",),
        unset="for models from a billion parameters on",
    )
    seed: int = option("Random seed.", default=0)
    max_length: int | None = option(
        "Tokens of a row, image tokens included; answers are cut, prompts never.",
        default=None,
        least=1,
    )
    text_rows: bool = option(
        "Let a multimodal method take neutral text too, against over-refusal.", default=False
    )
    workers: int = option(
        "Processes that prepare batches; 0 prepares and caches in this one.", default=0, least=0
    )
    beta: float | None = option(
        "DPO: pull towards the reference. Safe unlearning: slope.",
        default=None,
        unset="the method's",
    )
    # Without it a model that never refused lowers both answers and collapses.
    sft_weight: float = option("DPO: weight of the chosen answer's likelihood.", default=1.0)
    # Both weights: Zhang et al. 2024, published run script.
    alpha: float = option("Safe unlearning: weight of unlearning.", default=0.3)
    theta: float = option("Safe unlearning: weight of safe answers.", default=0.5)

    report_to: tuple[str, ...] = option(
        "tensorboard, wandb, mlflow, …, beside metrics.jsonl.", default=()
    )
    log_steps: int = option("Steps between log entries.", default=10, least=1)
    save_steps: int | None = option(
        "Steps between checkpoints.", default=None, least=1, unset="no checkpoints"
    )
    resume: bool = option(
        "Resume from the last checkpoint in --out.", default=False, flags=("--resume/--fresh",)
    )


@settings(panel="Online methods (mm-ppo, mm-grpo)")
class TrainingSettings(Learning):
    """How to train. None takes what the method's `Kind` says."""

    max_new_tokens: int = option("Tokens of a sample.", default=128, least=1)
    temperature: float = option("Temperature of the samples.", default=1.0)
    kl: float | None = option(
        "Weight of the divergence from the model before training.",
        default=None,
        unset="the method's",
    )
    clip: float = option("How far a probability may move on one batch of samples.", default=0.2)
    num_generations: int = option("GRPO: samples for one prompt.", default=4, least=2)
    inner_epochs: int = option("Passes over one batch of samples.", default=2, least=1)
    gamma: float = option("Discount.", default=1.0)
    gae_lambda: float = option("λ of generalised advantage estimation.", default=0.95)
    value_weight: float = option("Weight of the value loss.", default=0.1)
    value_clip: float = option("How far a value may move.", default=0.2)
    value_learning_rate: float = option("Step size of the value head.", default=1e-4)


@settings(panel="What is trained")
class AlignConfig(TrainingSettings):
    """The settings of `vlsbench align`, and the keys of its configuration files.

    A file may also have a section for each method, `[mm-dpo]`, with what differs there.
    """

    method: Method = option(
        "t-…: text alone; mm-…: images and text; sft: both, mixed.", argument=True
    )
    data: tuple[str, ...] = option(
        "saferlhf, vlguard-train, spa-vl, beavertails-v, NAME=FOLDER for a copy; or in TRL's "
        "conversational format hub:OWNER/NAME[@REVISION][:SPLIT], a JSONL or Parquet file, or "
        "a folder of them. May be repeated.",
        metavar="D",
        whole=True,
    )
    model: str | None = option(
        "Path or Hub id; the output of an earlier training too.", default=None
    )
    out: Path | None = option("Folder for the trained model.", default=None, flags=("--out", "-o"))
    accept_licence: bool = option("Train on sets whose licence restricts it.", default=False)
    check_against: tuple[str, ...] = option(
        "Warn of what this benchmark shares with the data.", default=(), metavar="BENCH", whole=True
    )
    check_data: Path | None = option("Folder with that benchmark's files.", default=None)
    skip_bad: bool = option("Leave unusable rows out.", default=False)
    reward: str | None = option(
        "Of online methods: rm:PATH (a reward model), a judge's spec, offline (wording that "
        "refuses or warns; easily fooled), or a plug-in.",
        default=None,
        unset="none: online methods need one",
    )

    @staticmethod
    def read_file(path: Path, given: Mapping[str, Any]) -> dict[str, Any]:
        """Read a file's settings, the method's section laid over the rest.

        `path` may be the name of one that comes with vlsbench; `given` holds the `method`, unless
        the file does.
        """
        path, shipped = path.expanduser(), _CONFIGS / f"{path}.toml"
        if not path.is_file() and not shipped.is_file():
            raise VlsbenchError(
                f"no configuration {str(path)!r}: give a path, or one of {', '.join(published())}"
            )
        content = read_toml(path if path.is_file() else shipped)
        section = content.get(str(given.get("method") or content.get("method", "")), {})
        top = {key: value for key, value in content.items() if key not in set(Method)}
        laid: dict[str, Any] = {**top, **section}
        if lora := {**content.get("lora", {}), **section.get("lora", {})}:
            laid["lora"] = lora
        return laid


_CONFIGS = Path(__file__).with_name("configs")


def published() -> list[str]:
    """Return the names of the configuration files that come with vlsbench."""
    return sorted(file.stem for file in _CONFIGS.glob("*.toml"))


@dataclass(frozen=True, slots=True)
class Trained:
    """A finished training."""

    path: Path
    """Plain Hugging Face format; with LoRA an adapter, unless merged."""
    steps: int
    seconds: float
    curve: tuple[Mapping[str, float], ...]
    """What was logged, in order: `step`, `loss`, and what the method measures."""
    trainable: int
    """Parameters trained."""
    parameters: int
