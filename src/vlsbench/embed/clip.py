"""CLIP-like models in process: texts and images to vectors of one space."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from vlsbench.embed.text import CLIP, Vectors, silent_transformers
from vlsbench.errors import MissingExtra, VlsbenchError
from vlsbench.models._hf_load import digest_of
from vlsbench.pairs import ImageData, ImageError, decode
from vlsbench.text import first_line, storable

BATCH = 64
"""Texts of one pass through the model."""
NARROW = 50
"""Ratio of sides beyond which an image is refused: models scale the short side up."""
FILES = ("*.json", "*.txt", "*.model")
"""Of a model on the Hub, beside its weights."""
WEIGHTS = ("*.safetensors", "pytorch_model*.bin")
"""The first kind that a model on the Hub has."""
NEEDED = ("get_text_features", "get_image_features", "logit_scale")

Pixels = Mapping[str, Any]
"""What one image is to a model: tensors by name, one row each."""


class Clip:
    """A model with one tower for texts and one for images, as CLIP and SigLIP have.

    Runs on a GPU where there is one. Weights are loaded when the first vector is asked for.

    Source: Radford et al. 2021, arXiv 2103.00020; Zhai et al. 2023, arXiv 2303.15343.
    """

    def __init__(self, spec: str) -> None:
        """Find the model's files, fetching them from the Hub where they are not here.

        Args:
            spec: `clip/PATH` of a folder in Hugging Face format, or `clip/ORG/NAME` of the Hub.

        Raises:
            MissingExtra: torch or transformers is not installed.
            VlsbenchError: There is no such model.
        """
        if not all(map(find_spec, ("torch", "transformers"))):
            raise MissingExtra(f"the embedder {spec}", "audit")
        self.name = spec
        self._folder = _folder_of(spec)
        self.digest = digest_of(self._folder)

    @cached_property
    def _loaded(self) -> tuple[Any, Any, Any]:
        """The tokenizer, the processor of images, and the model."""
        import torch

        read = silent_transformers()
        here = {"local_files_only": True}
        try:
            tokenizer = read.AutoTokenizer.from_pretrained(self._folder, **here)
            processor = read.AutoImageProcessor.from_pretrained(self._folder, **here)
            model, found = read.AutoModel.from_pretrained(
                self._folder, output_loading_info=True, **here
            )
        except (OSError, ValueError, KeyError, ImportError, RuntimeError) as error:
            raise VlsbenchError(f"embedder {self.name}: {first_line(error)}") from None
        if not all(hasattr(model, name) for name in NEEDED):
            raise VlsbenchError(
                f"embedder {self.name}: {type(model).__name__} is no model of texts and images "
                "like CLIP or SigLIP"
            )
        # They would be drawn at random, and so would every figure.
        if missing := sorted(found["missing_keys"]):
            raise VlsbenchError(
                f"embedder {self.name}: {len(missing)} weights are missing, such as {missing[0]}"
            )
        device = "cuda" if torch.cuda.is_available() else "cpu"
        return tokenizer, processor, model.float().eval().to(device)

    @property
    def scale(self) -> float:
        """What the model learnt to multiply its similarities by (1 / temperature)."""
        return float(self._loaded[2].logit_scale.detach().exp().item())

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Return one unit row a text; what goes beyond the model's context is cut.

        Raises:
            VlsbenchError: The model cannot be loaded.
        """
        if not texts:
            return np.empty((0, 0), np.float32)
        tokenizer, _, model = self._loaded
        # Half surrogates, legal in JSON, have no UTF-8 form, and the tokenizer takes no other.
        clean = [storable(text) for text in texts]
        # SigLIP was trained on texts filled up to full length, without a mask (its model card).
        full = model.config.model_type.startswith("siglip")
        rows: list[Vectors] = []
        # Texts of like length go together, so that little is padding.
        order = sorted(range(len(clean)), key=lambda place: len(clean[place]))
        for start in range(0, len(order), BATCH):
            batch = order[start : start + BATCH]
            inputs = tokenizer(
                [clean[place] for place in batch],
                padding="max_length" if full else True,
                truncation=True,
                max_length=model.config.get_text_config().max_position_embeddings,
                return_tensors="pt",
            )
            names = ("input_ids",) if full else ("input_ids", "attention_mask")
            given = {name: inputs[name] for name in names}
            rows.append(self._unit(model.get_text_features, given))
        out = np.concatenate(rows)
        out[order] = out.copy()
        return out

    def pixels(self, image: ImageData) -> Pixels:
        """Decode an image and scale it to what the model takes.

        Raises:
            ImageError: It cannot be decoded, or is too narrow to be scaled.
            VlsbenchError: The model cannot be loaded.
        """
        decoded = decode(image)
        width, height = decoded.size
        if max(width, height) > NARROW * min(width, height):
            raise ImageError(f"image {image.ref}: {width} × {height} pixels are too narrow")
        found: Pixels = self._loaded[1](images=decoded, return_tensors="pt")
        return found

    def embed_pixels(self, images: Sequence[Pixels]) -> Vectors:
        """Return one unit row an image, in one pass through the model."""
        import torch

        given = {name: torch.cat([one[name] for one in images]) for name in images[0]}
        return self._unit(self._loaded[2].get_image_features, given)

    def _unit(self, tower: Any, inputs: Mapping[str, Any]) -> Vectors:
        import torch

        device = self._loaded[2].device
        with torch.inference_mode():
            found = tower(**{name: values.to(device) for name, values in inputs.items()})
            # transformers 4 returns the vectors, 5 an object that holds them.
            vectors = found if isinstance(found, torch.Tensor) else found.pooler_output
            rows: Vectors = torch.nn.functional.normalize(vectors, dim=-1).cpu().numpy()
        if not np.isfinite(rows).all():
            raise VlsbenchError(f"embedder {self.name}: its vectors are not finite")
        return rows


def _folder_of(spec: str) -> Path:
    name = spec.removeprefix(CLIP)
    if Path(name).expanduser().is_dir():
        return Path(name).expanduser()
    from huggingface_hub import snapshot_download

    try:
        for weights in WEIGHTS:
            folder = Path(snapshot_download(name, allow_patterns=[*FILES, weights]))
            if any(folder.glob(weights)):
                return folder
    except Exception as error:  # the Hub's client fails in its own and its libraries' ways
        raise VlsbenchError(
            f"embedder {spec}: no such folder, and the Hub does not give it ({first_line(error)})"
        ) from None
    raise VlsbenchError(f"embedder {spec}: the Hub has no weights of it for PyTorch")
