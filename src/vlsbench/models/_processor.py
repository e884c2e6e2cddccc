"""Loading a vision-language model's processor, with torchvision or without."""

from __future__ import annotations

import re
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any


def no_folder(name: str) -> str:
    """Say that a folder is missing, of a name that no model of the Hub has; else nothing."""
    if Path(name).is_dir() or re.fullmatch(r"\w[\w.-]*/[\w.-]+", name):
        return ""
    return f"no folder {name if name[:1] in ('.', '~', '/') else f'./{name}'}"


def load_processor(name: str, **options: Any) -> Any:
    """Load a processor; where torchvision is missing, one that takes images but no videos.

    Processors of models that take videos too (Qwen2-VL and its kin) ask for torchvision, and that
    only for the videos. torchvision's usual wheel breaks the imports beside a torch of another
    build, so that it is better not needed.

    Args:
        name: Folder or Hub id.
        options: Of `from_pretrained`.

    Raises:
        OSError, ValueError, KeyError: As `AutoProcessor.from_pretrained` does.
    """
    from transformers import AutoProcessor

    load: Any = AutoProcessor.from_pretrained  # untyped in transformers
    try:
        return load(name, **options)
    except (ImportError, ValueError) as error:
        if find_spec("torchvision") or "torchvision" not in str(error).lower():
            raise
    return _of_images(name, options)


def _of_images(name: str, options: dict[str, Any]) -> Any:
    from transformers import AutoConfig, AutoImageProcessor, AutoTokenizer, ProcessorMixin
    from transformers.models.auto.processing_auto import (
        PROCESSOR_MAPPING,
        processor_class_from_name,
    )

    auto: Any = (AutoImageProcessor, AutoTokenizer, AutoConfig)
    images, words, configs = auto
    saved: dict[str, Any] = ProcessorMixin.get_processor_dict(name, **options)[0]
    whole = processor_class_from_name(saved.get("processor_class", ""))
    return images_only(whole or PROCESSOR_MAPPING[type(configs.from_pretrained(name, **options))])(
        image_processor=images.from_pretrained(name, **options),
        tokenizer=words.from_pretrained(name, **options),
        chat_template=saved.get("chat_template"),
    )


@cache
def images_only(whole: Any) -> Any:
    """Make a processor's class into one that has, loads and saves no `video_processor`."""

    class ImagesOnly(whole):  # type: ignore[misc]
        @classmethod
        def get_attributes(cls) -> list[str]:
            return [name for name in super().get_attributes() if name != "video_processor"]

        def save_pretrained(self, save_directory: Any, **options: Any) -> Any:
            done = super().save_pretrained(save_directory, **options)
            # As the published models have it: where torchvision is there, videos take it from here.
            self.image_processor.save_pretrained(save_directory)
            return done

    # Saved files name the class.
    ImagesOnly.__name__ = whole.__name__
    return ImagesOnly


def has_bos(tokenizer: Any, prompt: str) -> bool:
    """Tell whether a rendered prompt begins with the token that the tokeniser would put there.

    Many chat templates write it; a second one is nothing that a model was trained on.
    """
    return bool(tokenizer.bos_token) and prompt.startswith(tokenizer.bos_token)
