"""What a training is: its method, its settings, and what it leaves behind."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from enum import StrEnum
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, ClassVar

from vlsbench.config import Option
from vlsbench.errors import VlsbenchError
from vlsbench.schemas import SchemaError, convert, parse_toml, parse_value, read_toml

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
    def form(self) -> str:
        """What its rows hold: `sft`, `preference`, `unlearning` or `prompts`."""
        return _FORMS[self.value.removeprefix("t-").removeprefix("mm-")]

    @property
    def online(self) -> bool:
        """Whether the model learns from its own samples and a reward."""
        return self.form == "prompts"

    @property
    def preference(self) -> bool:
        """Whether the model learns from pairs of a better and a worse answer."""
        return self.form == "preference"


_FORMS = {
    "sft": "sft",
    "dpo": "preference",
    "unlearning": "unlearning",
    "safe-unlearning": "unlearning",
    "ppo": "prompts",
    "grpo": "prompts",
}


@dataclass(frozen=True, slots=True)
class Lora:
    """Low-rank adaptation (Hu et al. 2021, arXiv 2106.09685) in place of all parameters."""

    r: int = 16
    alpha: int = 32
    dropout: float = 0.0
    targets: str = ""
    """Regular expression over module names; empty takes the language model's linear layers."""
    projector: bool = False
    """Train the projector between vision tower and language model in full besides."""
    merge: bool = False
    """Save the merged model in the output folder, and the adapter in `adapter/` within it."""


def parse_lora(text: str) -> dict[str, Any]:
    """Read `r=16,alpha=32,merge`; raises `SchemaError` where it is not of `Lora`."""
    parts = [part.partition("=") for part in text.split(",") if part.strip()]
    found = {name.strip(): parse_value(value) if eq else True for name, eq, value in parts}
    convert(found, Lora, "--lora")
    return found


@dataclass(frozen=True, kw_only=True)
class Learning:
    """How every method trains."""

    PANEL: ClassVar[str] = "How"

    epochs: Annotated[float, Option("Passes over the data.")] = 1.0
    max_steps: Annotated[
        int | None, Option("Optimiser steps, whatever the epochs.", least=1, metavar="N")
    ] = None
    learning_rate: Annotated[
        float | None, Option("Step size.", flags=("--learning-rate", "--lr"), unset="the method's")
    ] = None
    scheduler: Annotated[
        str, Option("A name that transformers knows: cosine, linear, constant, …")
    ] = "cosine"
    warmup: Annotated[float, Option("Steps, or a share of all steps where below 1.")] = 0.0
    weight_decay: Annotated[float, Option("Weight decay of AdamW.")] = 0.0
    max_grad_norm: Annotated[float, Option("Clip gradients to this norm.")] = 1.0
    batch_size: Annotated[
        int, Option("Rows (online: samples) per device and backward pass.", least=1)
    ] = 8
    gradient_accumulation: Annotated[int, Option("Backward passes per step.", least=1)] = 1
    lora: Annotated[
        Lora | None,
        Option(
            "Train an adapter: r=16,alpha=32,merge; fields of docs/align.md.",
            parse=parse_lora,
            metavar="FIELD=VALUE,…",
        ),
    ] = None
    freeze_vision: Annotated[
        bool,
        Option(
            "Freeze the vision tower; the projector is trained.",
            ("--freeze-vision/--train-vision",),
        ),
    ] = True
    bf16: Annotated[
        bool | None,
        Option("Compute in bfloat16.", ("--bf16/--no-bf16",), unset="where the device can"),
    ] = None
    gradient_checkpointing: Annotated[
        bool | None,
        Option(
            "Recompute activations to save memory.",
            ("--gradient-checkpointing/--no-gradient-checkpointing",),
            unset="for models from a billion parameters on",
        ),
    ] = None
    seed: Annotated[int, Option("Random seed.")] = 0
    max_length: Annotated[
        int | None,
        Option("Tokens of a row, image tokens included; answers are cut, prompts never.", least=1),
    ] = None
    text_rows: Annotated[
        bool, Option("Let a multimodal method take neutral text too, against over-refusal.")
    ] = False
    by_length: Annotated[
        bool,
        Option("Batch rows of similar length, to save padding.", ("--by-length/--no-by-length",)),
    ] = False
    workers: Annotated[
        int, Option("Processes that prepare batches; 0 prepares and caches in this one.", least=0)
    ] = 0
    beta: Annotated[
        float | None,
        Option("DPO: pull towards the reference. Safe unlearning: slope.", unset="the method's"),
    ] = None
    # Without it a model that never refused lowers both answers and collapses.
    sft_weight: Annotated[float, Option("DPO: weight of the chosen answer's likelihood.")] = 1.0
    bound: Annotated[
        float | None,
        Option(
            "Unlearning: a token that costs this many nats is unlearnt enough.",
            unset="ln(vocabulary), as unlikely as a guess",
        ),
    ] = None
    # Both weights: Zhang et al. 2024, published run script.
    alpha: Annotated[float, Option("Safe unlearning: weight of unlearning.")] = 0.3
    theta: Annotated[float, Option("Safe unlearning: weight of safe answers.")] = 0.5


@dataclass(frozen=True, kw_only=True)
class Sampling(Learning):
    """How methods that learn from their own samples do."""

    PANEL: ClassVar[str] = "Online methods (mm-ppo, mm-grpo)"

    max_new_tokens: Annotated[int, Option("Tokens of a sample.", least=1)] = 128
    temperature: Annotated[float, Option("Temperature of the samples.")] = 1.0
    kl: Annotated[
        float | None,
        Option("Weight of the divergence from the model before training.", unset="the method's"),
    ] = None
    clip: Annotated[float, Option("How far a probability may move on one batch of samples.")] = 0.2
    num_generations: Annotated[int, Option("GRPO: samples for one prompt.", least=2)] = 4
    inner_epochs: Annotated[int, Option("Passes over one batch of samples.", least=1)] = 2
    gamma: Annotated[float, Option("Discount.")] = 1.0
    gae_lambda: Annotated[float, Option("λ of generalised advantage estimation.")] = 0.95
    value_weight: Annotated[float, Option("Weight of the value loss.")] = 0.1
    value_clip: Annotated[float, Option("How far a value may move.")] = 0.2
    value_learning_rate: Annotated[float, Option("Step size of the value head.")] = 1e-4


@dataclass(frozen=True, kw_only=True)
class TrainingSettings(Sampling):
    """How to train. None takes what `method_defaults` says for the method."""

    PANEL: ClassVar[str] = "Running"

    report_to: Annotated[
        tuple[str, ...], Option("tensorboard, wandb, mlflow, …, beside metrics.jsonl.")
    ] = ()
    log_steps: Annotated[int, Option("Steps between log entries.", least=1)] = 10
    save_steps: Annotated[
        int | None, Option("Steps between checkpoints.", least=1, unset="no checkpoints")
    ] = None
    resume: Annotated[
        bool, Option("Resume from the last checkpoint in --out.", ("--resume/--fresh",))
    ] = False


@dataclass(frozen=True, kw_only=True)
class AlignConfig(TrainingSettings):
    """The settings of `vlsbench align`, and the keys of its configuration files.

    A file may also have a section for each method, `[mm-dpo]`, with what differs there, and the
    keys `source` and `about`, which are for readers.
    """

    PANEL: ClassVar[str] = "What is trained"

    method: Annotated[
        Method,
        Option("t-…: text alone; mm-…: images and text; sft: both, mixed.", argument=True),
    ]
    data: Annotated[
        tuple[str, ...],
        Option(
            "saferlhf, vlguard-train, spa-vl, beavertails-v, NAME=FOLDER for a copy; or in TRL's "
            "conversational format hub:OWNER/NAME[@REVISION][:SPLIT], a JSONL or Parquet file, or "
            "a folder of them. May be repeated.",
            metavar="D",
            whole=True,
        ),
    ]
    model: Annotated[
        str | None, Option("Path or Hub id; the output of an earlier training too.")
    ] = None
    out: Annotated[Path | None, Option("Folder for the trained model.", ("--out", "-o"))] = None
    accept_licence: Annotated[bool, Option("Train on sets whose licence restricts it.")] = False
    check_against: Annotated[
        tuple[str, ...],
        Option("Warn of what this benchmark shares with the data.", metavar="BENCH", whole=True),
    ] = ()
    check_data: Annotated[Path | None, Option("Folder with that benchmark's files.")] = None
    limit: Annotated[
        int | None, Option("Use the first rows of each set only.", least=1, metavar="N")
    ] = None
    skip_bad: Annotated[bool, Option("Leave unusable rows out.")] = False
    reward: Annotated[
        str | None,
        Option(
            "Of online methods: rm:PATH (a reward model), a judge's spec, offline (wording that "
            "refuses or warns; easily fooled), or a plug-in.",
            unset="none: online methods need one",
        ),
    ] = None

    @staticmethod
    def read_file(path: Path, given: Mapping[str, Any]) -> dict[str, Any]:
        """Read a file's settings, the method's section laid over the rest.

        `path` may be the name of one that comes with vlsbench; `given` holds the `method`, unless
        the file does.
        """
        path, name = path.expanduser(), str(path)
        if path.is_file():
            content = read_toml(path)
        elif name in published():
            shipped = resources.files("vlsbench.aligning") / "configs" / f"{name}.toml"
            content = parse_toml(shipped.read_text("utf-8"), name)
        else:
            raise VlsbenchError(
                f"no configuration {name!r}: give a path, or one of {', '.join(published())}"
            )
        method = str(given.get("method") or content.get("method", ""))
        section = content.get(method, {})
        known = [*(one.name for one in fields(AlignConfig)), *_READERS]
        for key in section:
            if key not in known:
                raise SchemaError(f"{name}: [{method}]: unknown key {key}")
        laid = {key: value for key, value in content.items() if key not in set(Method)} | section
        if lora := {**content.get("lora", {}), **section.get("lora", {})}:
            laid["lora"] = lora
        return {key: value for key, value in laid.items() if key not in _READERS}


_READERS = ("source", "about")
"""Keys of a configuration file that are for readers."""


def published() -> list[str]:
    """Return the names of the configuration files that come with vlsbench."""
    folder = resources.files("vlsbench.aligning") / "configs"
    return sorted(item.name.removesuffix(".toml") for item in folder.iterdir())


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
