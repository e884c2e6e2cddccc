"""Opening the model to be trained: what of it learns, in which precision, and what it costs."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vlsbench.aligning._settings import Lora, Method, TrainingSettings
from vlsbench.errors import MissingExtra, VlsbenchError
from vlsbench.models import load_processor
from vlsbench.text import first_line

if TYPE_CHECKING:
    from torch import nn

LANGUAGE_LINEAR = (
    r".*(?:language_model|text_model)\.(?:.*\.)?"
    r"(?:q_proj|k_proj|v_proj|o_proj|gate_proj|up_proj|down_proj)"
)
"""Linear layers of the language model in LLaVA- and Qwen-class models, and none of the tower's."""
VISION_TOWER = re.compile(r"(?:^|\.)(?:vision_tower|vision_model|visual)(?:\.|$)")
PROJECTOR = re.compile(r"(?:^|\.)(?:multi_modal_projector|visual\.merger)(?:\.|$)")
"""Stands between tower and language model; trained even where the tower is frozen."""


def need_extra(what: str = "vlsbench align") -> None:
    """Raise `MissingExtra` where what trains, and what needs it, is not installed."""
    from importlib.util import find_spec

    if not all(map(find_spec, ("accelerate", "datasets", "peft", "torch", "trl"))):
        raise MissingExtra(what, "align")


def stay_quiet() -> None:
    """Keep loading from drawing bars, and TRL from telling its makers what is trained."""
    import warnings

    from huggingface_hub import constants
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    # One library's word to another; whoever trains can do nothing about it.
    warnings.filterwarnings("ignore", "`is_gradient_checkpointing` is deprecated", FutureWarning)
    constants.HF_HUB_DISABLE_TELEMETRY = True


@dataclass(frozen=True, slots=True)
class Parameters:
    """How many parameters there are, and how many learn."""

    total: int
    trainable: int
    frozen_vision: int


def open_processor(model: str | Path) -> Any:
    """Load a processor, or raise `VlsbenchError` where it has none of what training needs."""
    try:
        processor = load_processor(str(model))
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise VlsbenchError(f"{model}: no processor ({first_line(error)})") from None
    if getattr(processor, "tokenizer", None) is None:
        raise VlsbenchError(f"{model} is not a vision-language model: it has only a tokenizer")
    if not processor.chat_template:
        raise VlsbenchError(f"{model}: its processor has no chat template; add one and save it")
    if processor.tokenizer.pad_token_id is None:
        processor.tokenizer.pad_token = processor.tokenizer.eos_token
    return processor


def base_of(model: str | Path, out: Path) -> str:
    """Return the path of whole weights: of an adapter's merged model, saved within `out`.

    The reference model is loaded from where the policy came from, so merged weights must lie
    somewhere.
    """
    if not (Path(model) / "adapter_config.json").is_file():
        return str(model)
    from peft import PeftConfig, PeftModel

    merged = out / "base"
    if not (merged / "config.json").is_file():
        config = PeftConfig.from_pretrained(str(model))
        base = open_model(str(config.base_model_name_or_path), dtype="auto")
        PeftModel.from_pretrained(base, str(model)).merge_and_unload().save_pretrained(merged)
        open_processor(model).save_pretrained(merged)
    return str(merged)


def open_model(model: str | Path, *, dtype: Any = "float32") -> Any:
    """Load a vision-language model's weights; raises `VlsbenchError` where it cannot."""
    from transformers import AutoModelForImageTextToText

    try:
        return AutoModelForImageTextToText.from_pretrained(str(model), dtype=dtype)
    except (OSError, ValueError, KeyError) as error:
        raise VlsbenchError(f"{model}: cannot be loaded ({first_line(error)})") from None


def empty_model(model: str | Path, config: Any = None) -> Any:
    """Build the model on the meta device: every layer and name, no weights and no memory."""
    import torch
    from transformers import AutoConfig, AutoModelForImageTextToText

    if config is None:
        if (Path(model) / "adapter_config.json").is_file():
            from peft import PeftConfig

            model = str(PeftConfig.from_pretrained(str(model)).base_model_name_or_path)
        try:
            config = AutoConfig.from_pretrained(str(model))
        except (OSError, ValueError) as error:
            raise VlsbenchError(f"{model}: no configuration ({first_line(error)})") from None
    with torch.device("meta"):
        return AutoModelForImageTextToText.from_config(config)


def filled(method: Method, settings: TrainingSettings) -> TrainingSettings:
    """Return the settings with the method's and the device's own where none are given."""
    import torch

    kind = method.kind
    own: dict[str, Any] = {
        "learning_rate": kind.lora_rate if settings.lora else kind.rate,
        "beta": kind.beta,
        "kl": kind.kl,
        "bf16": torch.cuda.is_available() and torch.cuda.is_bf16_supported(),
    }
    missing = {name: value for name, value in own.items() if getattr(settings, name) is None}
    return replace(settings, **missing)


def weights_dtype(settings: TrainingSettings) -> str:
    """Return the precision of the weights: bfloat16 for those that are frozen under LoRA.

    Trained weights stay in float32: a step of 1e-6 would round to nothing.
    """
    return "bfloat16" if settings.lora and settings.bf16 else "float32"


def lora_config(model: nn.Module, lora: Lora) -> Any:
    """Return PEFT's configuration, with the targets spelt out; some layer must match them."""
    from peft import LoraConfig
    from torch import nn

    pattern = lora.targets or LANGUAGE_LINEAR
    linear = [name for name, one in model.named_modules() if isinstance(one, nn.Linear)]
    names = [name for name in linear if re.fullmatch(pattern, name)]
    if not names:
        raise VlsbenchError(
            f"no linear layer of this model matches {pattern!r}; give --lora targets=REGEX"
        )
    return LoraConfig(
        r=lora.r,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=names,
        task_type="CAUSAL_LM",
    )


def freeze(model: nn.Module, settings: TrainingSettings) -> Parameters:
    """Decide what learns, and count it. With LoRA, PEFT freezes the rest later."""
    frozen = 0
    for name, parameter in model.named_parameters():
        if settings.freeze_vision and VISION_TOWER.search(name) and not PROJECTOR.search(name):
            parameter.requires_grad_(False)
            frozen += parameter.numel()
    return count(model, frozen)


def learning(empty: nn.Module, settings: TrainingSettings) -> tuple[Parameters, int]:
    """Count what learns in a model on the meta device, and the layers that LoRA adapts."""
    import torch

    parameters = freeze(empty, settings)
    if settings.lora is None:
        return parameters, 0
    from peft import get_peft_model

    config = lora_config(empty, settings.lora)
    layers = len(config.target_modules)
    with torch.device("meta"):
        adapted = get_peft_model(empty, config)
    return count(adapted, parameters.frozen_vision), layers


def count(model: nn.Module, frozen_vision: int = 0) -> Parameters:
    """Count parameters."""
    total = sum(parameter.numel() for parameter in model.parameters())
    learns = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    return Parameters(total, learns, frozen_vision)
