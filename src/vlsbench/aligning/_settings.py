"""What a training is: its method, its settings, and what it leaves behind.

Settings come from a file too: one TOML per published model, or a user's own. `model` and any field
of `Settings` stand at the top; `[lora]` holds fields of `Lora`; `[mm-dpo]` and the other methods'
names hold what differs there. Texts named `source` or `about` are for readers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from importlib import resources
from pathlib import Path
from typing import Any

from vlsbench.errors import VlsbenchError
from vlsbench.schemas import convert, parse_toml, parse_value, read_toml

Row = dict[str, Any]
"""One training example in TRL's conversational format, with its pictures.

`messages` (SFT), `prompt`, `chosen`, `rejected` (DPO), `prompt`, `completion`, `kind` (unlearning)
or `prompt` alone (online); `images` is a list of PIL images, paths, bytes or `pairs.Image`. An
answer that is not the last message of a row is context, never a target.
"""

Reward = Callable[[Sequence[Row], Sequence[str]], Sequence[float]]
"""From the rows asked and the answers sampled to one number each, higher is better."""

Progress = Callable[[int, int], None]
"""Is told the optimiser's steps done and the steps there will be."""


class Method(StrEnum):
    """How a model is aligned; `t-` learns from text alone, `mm-` from pictures and text."""

    SFT = "sft"
    """Supervised, on rows with and without pictures mixed."""
    T_SFT = "t-sft"
    T_DPO = "t-dpo"
    T_UNLEARNING = "t-unlearning"
    T_SAFE_UNLEARNING = "t-safe-unlearning"
    MM_SFT = "mm-sft"
    MM_DPO = "mm-dpo"
    MM_PPO = "mm-ppo"
    MM_RLOO = "mm-rloo"
    MM_GRPO = "mm-grpo"

    @property
    def textual(self) -> bool:
        """Whether pictures are refused."""
        return self.value.startswith("t-")

    @property
    def multimodal(self) -> bool:
        """Whether rows without pictures are refused unless `Settings.text_rows` allows them."""
        return self.value.startswith("mm-")

    @property
    def online(self) -> bool:
        """Whether the model learns from its own samples and a reward."""
        return self in (Method.MM_PPO, Method.MM_RLOO, Method.MM_GRPO)

    @property
    def supervised(self) -> bool:
        """Whether the model learns given answers by heart."""
        return self in (Method.SFT, Method.T_SFT, Method.MM_SFT)

    @property
    def preference(self) -> bool:
        """Whether the model learns from pairs of a better and a worse answer."""
        return self in (Method.T_DPO, Method.MM_DPO)

    @property
    def unlearning(self) -> bool:
        """Whether the model learns which answers not to give."""
        return self in (Method.T_UNLEARNING, Method.T_SAFE_UNLEARNING)


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


@dataclass(frozen=True, slots=True)
class Settings:
    """How to train. None takes what `method_defaults` says for the method."""

    epochs: float = 1.0
    max_steps: int | None = None
    """Optimiser steps; ends the training before `epochs` are over, or goes on past them."""
    learning_rate: float | None = None
    scheduler: str = "cosine"
    """A name that transformers knows: cosine, linear, constant, …"""
    warmup: float = 0.0
    """Steps, or a share of all steps where below 1."""
    weight_decay: float = 0.0
    max_grad_norm: float = 1.0
    batch_size: int = 8
    """Rows (online: samples) per device and backward pass."""
    gradient_accumulation: int = 1
    lora: Lora | None = None
    freeze_vision: bool = True
    """Leave the vision tower as it is; the projector is trained."""
    bf16: bool | None = None
    """Compute in bfloat16; None: where the device has it."""
    gradient_checkpointing: bool | None = None
    """Recompute activations to save memory; None: for models from a billion parameters on."""
    seed: int = 0
    max_length: int | None = None
    """Tokens of a row, image tokens included; answers are cut there, prompts never."""
    text_rows: bool = False
    """Let a multimodal method take rows without pictures too (neutral text, against
    over-refusal)."""
    by_length: bool = False
    """Put rows of like length into one batch, which saves padding."""
    cache_features: bool = False
    """Run the frozen vision tower once per picture and keep what it saw, in main memory."""
    workers: int = 0
    """Processes that prepare batches; 0 prepares them in this one and remembers them."""

    beta: float | None = None
    """DPO: pull towards the reference. Safe unlearning: slope of the unlearning loss."""
    sft_weight: float = 1.0
    """DPO: weight of the likelihood of the chosen answer. Without it a model that never refused
    lowers both answers and collapses."""
    bound: float | None = None
    """Unlearning: a token that costs this many nats is unlearnt enough; None: ln(vocabulary),
    as unlikely as a guess."""
    alpha: float = 0.3
    """Safe unlearning: weight of unlearning (Zhang et al. 2024, published run script)."""
    theta: float = 0.5
    """Safe unlearning: weight of safe answers (the same)."""

    num_generations: int = 4
    """RLOO, GRPO: samples for one prompt."""
    max_new_tokens: int = 128
    temperature: float = 1.0
    kl: float | None = None
    """Online: weight of the divergence from the model before training."""
    clip: float = 0.2
    """PPO, GRPO, RLOO: how far a probability may move on one batch of samples."""
    inner_epochs: int = 2
    """PPO: times one batch of samples is learnt from."""
    gamma: float = 1.0
    gae_lambda: float = 0.95
    value_weight: float = 0.1
    value_clip: float = 0.2
    value_learning_rate: float = 1e-4
    """PPO: of the value head, which starts from nothing."""

    report_to: tuple[str, ...] = ()
    """tensorboard, wandb, mlflow, …, where installed; `metrics.jsonl` is written always."""
    log_steps: int = 10
    save_steps: int | None = None
    """Write a checkpoint every so many steps; None: none."""
    resume: bool = False
    """Go on from the last checkpoint in the output folder."""


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


@dataclass(frozen=True, slots=True)
class Defaults:
    """Settings of a method where none are given, and where they come from."""

    learning_rate: float
    beta: float = 0.1
    kl: float = 0.0
    source: str = ""


_DEFAULTS = {
    Method.SFT: Defaults(2e-5, source="LLaVA-1.5 (arXiv 2310.03744), as VLGuard's authors use it"),
    Method.T_SFT: Defaults(2e-5, source="as MM-SFT; the paper does not tell"),
    Method.MM_SFT: Defaults(2e-5, source="LLaVA-1.5 (arXiv 2310.03744), as VLGuard's authors do"),
    Method.T_DPO: Defaults(1e-6, beta=0.1, source="as MM-DPO; the paper does not tell"),
    Method.MM_DPO: Defaults(1e-6, beta=0.1, source="SPA-VL (arXiv 2406.12030), run script"),
    Method.T_UNLEARNING: Defaults(2e-5, source="as safe unlearning; the paper does not tell"),
    Method.T_SAFE_UNLEARNING: Defaults(
        2e-5, beta=1.0, source="Zhang et al. 2024 (arXiv 2407.02855), run script"
    ),
    Method.MM_PPO: Defaults(5e-7, kl=0.1, source="SPA-VL (arXiv 2406.12030), run script"),
    Method.MM_RLOO: Defaults(1e-6, kl=0.05, source="TRL's defaults"),
    Method.MM_GRPO: Defaults(1e-6, kl=0.0, source="TRL's defaults"),
}


def method_defaults(method: Method, *, lora: bool = False) -> Defaults:
    """Return the learning rate and coefficients of a method.

    Args:
        method: Which.
        lora: Whether adapters are trained rather than all parameters: they want larger steps.
            SPA-VL's scripts take 1e-6 for PPO with LoRA; elsewhere 2e-4 (LLaVA-1.5's LoRA script)
            for supervised and 2e-5 for the rest.
    """
    base = _DEFAULTS[method]
    if not lora:
        return base
    if method is Method.MM_PPO:
        rate = 1e-6
    elif method.supervised:
        rate = 2e-4
    else:
        rate = 2e-5
    return Defaults(rate, base.beta, base.kl, base.source)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Section(Settings):
    """The top of a file, or its section on a method."""

    model: str = ""
    source: str = ""
    about: str = ""


@dataclass(frozen=True, slots=True)
class Config:
    """What a file says for one method."""

    model: str
    """Empty where the file names none."""
    settings: Mapping[str, Any]
    """Fields of `Settings`; `lora` is a mapping of fields of `Lora`."""
    source: str = ""


def published() -> list[str]:
    """Return the names of the files that come with vlsbench."""
    folder = resources.files("vlsbench.aligning") / "configs"
    return sorted(item.name.removesuffix(".toml") for item in folder.iterdir())


def read_config(name: str, method: Method) -> Config:
    """Read a file's settings for a method.

    Args:
        name: Of a file that comes with vlsbench, or a path.
        method: Whose section is laid over the rest.

    Raises:
        SchemaError: It is not TOML, or does not hold settings; names file and key.
        VlsbenchError: There is no such file.
    """
    path = Path(name).expanduser()
    if path.is_file():
        content = read_toml(path)
    elif name in published():
        shipped = resources.files("vlsbench.aligning") / "configs" / f"{name}.toml"
        content = parse_toml(shipped.read_text("utf-8"), name)
    else:
        raise VlsbenchError(
            f"no configuration {name!r}: give a path, or one of {', '.join(published())}"
        )
    section = content.get(str(method), {})
    top = {key: value for key, value in content.items() if key not in set(Method)}
    convert(top, _Section, name)
    convert(section, _Section, f"{name}: [{method}]")
    laid = {**top, **section}
    if lora := {**top.get("lora", {}), **section.get("lora", {})}:
        laid["lora"] = lora
    model, source = str(laid.pop("model", "")), str(laid.pop("source", ""))
    laid.pop("about", None)
    return Config(model, laid, source)


def make_settings(given: Mapping[str, Any]) -> Settings:
    """Make settings of plain values.

    Args:
        given: Fields of `Settings`; `lora` may be a mapping or a `Lora`.

    Raises:
        SchemaError: A name is unknown, or a value is of the wrong type.
    """
    plain = {key: asdict(v) if isinstance(v, Lora) else v for key, v in given.items()}
    return convert(plain, Settings, "settings")


def parse_lora(text: str) -> dict[str, Any]:
    """Read `r=16,alpha=32,merge` as the command line gives it.

    Raises:
        SchemaError: It names no field of `Lora`, or gives it a wrong value.
    """
    parts = [part.partition("=") for part in text.split(",") if part.strip()]
    found = {name.strip(): parse_value(value) if eq else True for name, eq, value in parts}
    convert(found, Lora, "--lora")
    return found
