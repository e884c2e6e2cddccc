"""Loading a model into this process: its weights' type, where they lie, what its files hold."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from msgspec import Meta

from vlsbench.errors import MissingExtra, VlsbenchError
from vlsbench.files import file_sha256
from vlsbench.models._chat import FatalCall
from vlsbench.models._processor import load_processor, no_folder
from vlsbench.schemas import convert
from vlsbench.text import first_line

PREFIX = "hf/"
DIGESTED = (".safetensors", ".bin", ".json", ".jinja", ".model", ".txt")
"""Files of a model's folder that could change an answer."""
NOT_DIGESTED = ("align.json", "trainer_state.json")
HUB_S = 10.0
"""How long the Hub is asked whether it has a model."""
FOUR_BIT = "4bit"
DType = Literal["auto", "bfloat16", "float16", "float32", "4bit"]


@dataclass(frozen=True, kw_only=True)
class Loading:
    """How a model is held in memory: `--param dtype=float16 --param device_map=cuda:1`."""

    dtype: DType = "auto"
    """`auto` is bfloat16 on a GPU that has it, float16 on one that has not, and
    float32 on a CPU; `4bit` is bitsandbytes' NF4, computed in what `auto` would be."""
    device_map: str | None = None
    """As transformers takes it: `auto`, `cuda:1`, `cpu`. By default `auto` where there is a GPU."""
    batch_size: Annotated[int, Meta(ge=1)] | None = None
    """Questions answered together, at most; by default as many as memory holds."""

    @classmethod
    def of(cls, more: Mapping[str, Any]) -> Loading:
        """Take what concerns loading out of a request's further parameters.

        Raises:
            VlsbenchError: A value is none that is known.
        """
        if (dtype := more.get("dtype", "auto")) not in get_args(DType):
            known = ", ".join(get_args(DType))
            raise VlsbenchError(f"--param dtype={dtype}: choose one of {known}")
        return convert({name: more[name] for name in LOADING if name in more}, cls, "--param")

    def options(self) -> dict[str, Any]:
        """Return the arguments of `from_pretrained`.

        Raises:
            MissingExtra: 4 bits are asked for, and bitsandbytes is not installed.
        """
        import torch

        cuda = torch.cuda.is_available()
        usual = torch.float32
        if cuda:
            usual = torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
        plain = self.dtype in ("auto", FOUR_BIT)
        found: dict[str, Any] = {"dtype": usual if plain else getattr(torch, self.dtype)}
        if cuda or self.device_map is not None:
            found["device_map"] = "auto" if self.device_map is None else self.device_map
        if self.dtype == FOUR_BIT:
            if not find_spec("bitsandbytes"):
                raise MissingExtra("--param dtype=4bit", "4bit")
            from transformers import BitsAndBytesConfig

            quantized: Any = BitsAndBytesConfig
            found["quantization_config"] = quantized(
                load_in_4bit=True,
                bnb_4bit_quant_type="nf4",
                bnb_4bit_use_double_quant=True,
                bnb_4bit_compute_dtype=usual,
            )
        return found


LOADING = tuple(field.name for field in fields(Loading))
"""Names among a request's further parameters that are no arguments of `generate`."""


def load_model(name: str, loading: Loading) -> tuple[Any, Any]:
    """Load a folder, adapters of PEFT included, or a model of the Hub.

    Returns:
        The model, and its processor; its tokeniser, where it takes no images.

    Raises:
        MissingExtra: transformers, torch or bitsandbytes is not installed.
        FatalCall: There is no such model, or it does not chat.
    """
    _find(name)
    # A cache that grows by a token at a time would leave gaps that nothing fits into.
    os.environ.setdefault("PYTORCH_CUDA_ALLOC_CONF", "expandable_segments:True")
    try:
        import torch  # noqa: F401
        from transformers import (
            MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING,
            AutoModelForCausalLM,
            AutoModelForImageTextToText,
            AutoTokenizer,
        )
        from transformers.utils.logging import disable_progress_bar
    except ImportError:
        raise MissingExtra(f"model {PREFIX}{name}", "align") from None
    quiet: Any = disable_progress_bar
    quiet()
    local = {"local_files_only": Path(name).is_dir()}
    seeing: Any = AutoModelForImageTextToText
    reading: Any = AutoModelForCausalLM
    words: Any = AutoTokenizer
    try:
        sees = type(_config_of(name, local)) in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING
        processor = load_processor(name, **local) if sees else words.from_pretrained(name, **local)
        kind = seeing if sees else reading
        model = kind.from_pretrained(name, **local, **loading.options())
    except (OSError, ValueError, KeyError, ImportError, RuntimeError, AssertionError) as error:
        raise FatalCall(f"model {PREFIX}{name}: {first_line(error)}") from None
    if not getattr(processor, "chat_template", None):
        raise FatalCall(f"model {PREFIX}{name}: its processor has no chat template")
    return model, processor


def _config_of(name: str, local: Mapping[str, Any]) -> Any:
    from transformers import AutoConfig
    from transformers.utils.peft_utils import find_adapter_config_file

    configs: Any = AutoConfig
    find: Any = find_adapter_config_file
    if adapter := find(name, **local):
        name = json.loads(Path(adapter).read_text(encoding="utf-8"))["base_model_name_or_path"]
    return configs.from_pretrained(name, local_files_only=Path(name).is_dir())


def _find(name: str) -> None:
    """Look for a model where it may be, which takes seconds; loading asks again for minutes.

    Raises:
        FatalCall: It is neither a folder, nor in the cache, nor on the Hub.
    """
    if Path(name).is_dir():
        return
    if fault := no_folder(name):
        raise FatalCall(f"model {PREFIX}{name}: {fault}")
    from huggingface_hub import HfApi, try_to_load_from_cache

    try:
        for file in ("config.json", "adapter_config.json"):
            if isinstance(try_to_load_from_cache(name, file), str):
                return
        HfApi().model_info(name, timeout=HUB_S)
    except Exception as error:  # the Hub's client raises kinds of its own
        raise FatalCall(
            f"model {PREFIX}{name}: no such folder, and the Hub does not give it "
            f"({first_line(error)})"
        ) from None


def digest_of(folder: Path) -> str:
    """Return one SHA-256 over a model's files, and over those of the model that it adapts."""
    whole = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        if path.suffix in DIGESTED and path.name not in NOT_DIGESTED:
            whole.update(f"{path.name} {file_sha256(path)}\n".encode())
    adapter = folder / "adapter_config.json"
    if adapter.is_file():
        base = json.loads(adapter.read_text(encoding="utf-8")).get("base_model_name_or_path") or ""
        if Path(base).is_dir() and Path(base) != folder:
            whole.update(digest_of(Path(base)).encode())
    return whole.hexdigest()
