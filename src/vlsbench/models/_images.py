"""Text-to-image models: any `/v1/images/generations` server, or diffusers in this process.

Format: https://platform.openai.com/docs/api-reference/images/create. The image comes back as
base64 inside the answer; addresses are never followed.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from importlib.util import find_spec
from typing import Any, Protocol

import pybase64

from vlsbench import registry
from vlsbench.errors import MissingExtra
from vlsbench.models._chat import FatalCall, Finish, Model, Reply, Request, Usage
from vlsbench.models._http import HttpChat
from vlsbench.models._open import Connections
from vlsbench.pairs import ImageData, ImageError, encode
from vlsbench.text import first_line, storable

DIFFUSERS = "diffusers/"
"""Prefix of models in this process."""
STEPS = 28
"""Of denoising."""
ONE_IMAGE = Usage(input_tokens=0, output_tokens=1)
"""An image counts as one output token, so that a price for each image is a price like others."""


class ImageModel(Model, Protocol):
    """A model that draws."""

    async def draw(self, request: Request) -> Reply:
        """Draw one image, retrying what passes.

        Args:
            request: The prompt as text, the size in pixels (`WIDTHxHEIGHT`) as system prompt, and
                a seed: equal ones give equal images where the server heeds seeds at all.

        Returns:
            A reply with the image, an `ImageData`, in `extra["image"]`; without one, and with
            `finish` other than `stop`, where the backend filtered or rejected the prompt.

        Raises:
            CallFailed: The server gave no answer after all retries.
            FatalCall: No request can succeed.
        """


def parse_generation(body: bytes) -> Reply:
    """Read an answer of `/v1/images/generations`.

    Raises:
        ValueError: It holds no image in base64 (a cut answer, an HTML page, an address).
    """
    try:
        answer = json.loads(body)
        row = answer["data"][0]
        encoded = row["b64_json"].encode("utf-8", "replace")  # no base64, so no image
        served_by, revised = storable(answer.get("model")), storable(row.get("revised_prompt"))
    except (RecursionError, KeyError, IndexError, TypeError, AttributeError):
        raise ValueError("answer has no data[0].b64_json") from None
    reply = Reply("", usage=ONE_IMAGE, served_by=served_by)
    try:
        image = ImageData.of(pybase64.b64decode(encoded, validate=True), "of the image model")
    except (ValueError, ImageError) as error:
        return replace(reply, finish=Finish.REJECTED, detail=f"no image: {error}")
    return replace(
        reply, extra={"image": image, **({"revised_prompt": revised} if revised else {})}
    )


class HttpImages(HttpChat):
    """An image model on an OpenAI-compatible server; implements `ImageModel`."""

    path = "/images/generations"
    read = staticmethod(parse_generation)

    @property
    def identity(self) -> Mapping[str, Any]:
        """Server and model name."""
        return {**super().identity, "kind": "openai-images"}

    def body(self, request: Request, content: list[dict[str, Any]]) -> dict[str, Any]:
        """Write a request."""
        body: dict[str, Any] = {
            "model": self.name,
            "prompt": request.text,
            "n": 1,
            "size": request.system,
        }
        if not self.name.startswith("gpt-image"):  # these answer in base64, and refuse the word
            body["response_format"] = "b64_json"
        if not self._official:  # OpenAI's own models know no seed
            body["seed"] = request.params.seed
        return body

    async def draw(self, request: Request) -> Reply:
        """Draw; see `ImageModel.draw`."""
        return await self.ask(request)


class DiffusersImages:
    """A diffusers pipeline in this process, one image at a time; implements `ImageModel`.

    Stable Diffusion 3.5 and its like; wants a GPU. Loaded before the first image.
    """

    endpoint = "diffusers"

    def __init__(self, spec: str, *, filtered: bool) -> None:
        """Take a `diffusers/ORG/NAME` or `diffusers/PATH`.

        Args:
            spec: As the user gave it.
            filtered: The recipe says that the backend filters what it draws: a pipeline without a
                safety checker is then refused.

        Raises:
            MissingExtra: diffusers or torch is not installed.
        """
        if not (find_spec("diffusers") and find_spec("torch")):
            raise MissingExtra(f"{spec} in this process", "images")
        self.spec = spec
        name = spec.removeprefix(DIFFUSERS)
        self.identity: Mapping[str, Any]
        self.identity = {"kind": "diffusers", "name": name, "steps": STEPS, "filtered": filtered}
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="diffusers")
        self._pipeline: Any = None

    def _load(self) -> Any:
        import diffusers
        import torch

        gpu = torch.cuda.is_available()
        loader: Any = diffusers.AutoPipelineForText2Image
        try:
            pipeline = loader.from_pretrained(
                self.identity["name"],
                dtype=torch.bfloat16 if gpu else torch.float32,
                use_safetensors=True,
            )
        except (OSError, ValueError, ImportError) as error:
            raise FatalCall(f"{self.spec} cannot be loaded: {first_line(error)}") from None
        if self.identity["filtered"] and getattr(pipeline, "safety_checker", None) is None:
            raise FatalCall(
                f"{self.spec} has no safety checker, but the recipe says draw.safety = "
                '"filtered": serve it behind a filter, or state "unfiltered" and because'
            )
        pipeline.set_progress_bar_config(disable=True)
        return pipeline.to("cuda" if gpu else "cpu")

    def _draw(self, request: Request) -> Reply:
        import torch

        began = time.perf_counter()
        width, height = map(int, request.system.split("x"))
        self._pipeline = self._pipeline or self._load()
        try:
            made = self._pipeline(
                prompt=request.text,
                width=width,
                height=height,
                num_inference_steps=STEPS,
                generator=torch.Generator("cpu").manual_seed(request.params.seed or 0),
            )
        except (RuntimeError, ValueError) as error:  # of memory, or of a size it cannot draw
            raise FatalCall(f"{self.spec} cannot draw: {first_line(error)}") from None
        took = time.perf_counter() - began
        reply = Reply("", usage=ONE_IMAGE, latency_s=took, served_by=self.spec)
        if any(getattr(made, "nsfw_content_detected", None) or ()):
            return replace(reply, finish=Finish.FILTERED, detail="safety checker")
        return replace(reply, extra={"image": encode(made.images[0], "of the image model")})

    async def draw(self, request: Request) -> Reply:
        """Draw; see `ImageModel.draw`."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._draw, request)

    async def close(self) -> None:
        """Let go of the pipeline."""
        self._pipeline = None
        self._pool.shutdown(wait=False)


def open_images(spec: str | ImageModel, connections: Connections, *, filtered: bool) -> ImageModel:
    """Return the image model that a spec names.

    Args:
        spec: `openai/NAME`, `NAME@http://host:port/v1`, `diffusers/ORG/NAME`, or a plug-in's; a
            model is returned as it is.
        connections: Shared with the chat models.
        filtered: Whether the backend is said to filter what it draws.

    Raises:
        VlsbenchError: The spec is of no known form or of a model that does not draw, or its key
            or extra is missing.
    """
    if isinstance(spec, str) and spec.startswith(DIFFUSERS):
        return DiffusersImages(spec, filtered=filtered)
    model: Any = connections.open(spec, HttpImages) if isinstance(spec, str) else spec
    drawing: ImageModel = registry.conforming(model, ImageModel, f"image model {spec!r}:")
    return drawing
