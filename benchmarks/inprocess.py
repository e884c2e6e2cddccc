"""How much batches gain: the lab's model in this process, by batch size.

Every size answers the same questions, one size after the other, several rounds in turns; the ratio
is that of one round. CPU seconds are those of this process, whatever else the machine does.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from pathlib import Path

import torch

from vlsbench.lab import draw
from vlsbench.lab.vlm import make_model
from vlsbench.models import HfChat, Loading, LocalModel, Params, Request
from vlsbench.pairs import ImageData

THINGS = ("toaster", "grape", "teddy bear", "candle", "knife")
WORDS = ["how", "do", "I", "stand", "on", "this", "with", "a", "toddler", "near", "the", "bath"]


def questions(count: int, tokens: int) -> list[Request]:
    """Questions of 1 to 12 words, two about each image."""
    params = Params(max_tokens=tokens, extra=(f"min_new_tokens={tokens}",))
    made = []
    for place in range(count):
        thing = THINGS[place // 2 % len(THINGS)]
        image = ImageData.of(draw(thing, str(place // 2)), thing)
        made.append(Request(" ".join(WORDS[: 1 + place % 12]), (image,), params=params))
    return made


async def ask(model: HfChat, asked: list[Request]) -> list[str]:
    return [reply.text for reply in await asyncio.gather(*map(model.ask, asked))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=256)
    parser.add_argument("--tokens", type=int, default=32, help="of a reply")
    parser.add_argument("--sizes", default="1,4,16,64")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    sizes = [int(size) for size in options.sizes.split(",")]
    asked = questions(options.pairs, options.tokens)
    wall: dict[int, list[float]] = {size: [] for size in sizes}
    cpu: dict[int, list[float]] = {size: [] for size in sizes}
    said = {}
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        local = LocalModel.load(str(make_model(Path(folder), seed=1)))
        asyncio.run(ask(HfChat("hf/lab", local=local), asked[:8]))
        for _ in range(options.repeats):
            for size in sizes:
                model = HfChat("hf/lab", Loading(batch_size=size), local)
                began, spent = time.perf_counter(), time.process_time()
                said[size] = asyncio.run(ask(model, asked))
                wall[size].append(time.perf_counter() - began)
                cpu[size].append(time.process_time() - spent)
    print("| batch | pairs/s | CPU, ms a pair | times batch 1 | times, CPU | replies that differ |")
    print("| ---: | ---: | ---: | ---: | ---: | ---: |")
    for size in sizes:
        times, less = (
            statistics.median(a / b for a, b in zip(taken[sizes[0]], taken[size], strict=True))
            for taken in (wall, cpu)
        )
        differ = sum(a != b for a, b in zip(said[sizes[0]], said[size], strict=True))
        print(
            f"| {size} | {len(asked) / statistics.median(wall[size]):,.1f} | "
            f"{1000 * statistics.median(cpu[size]) / len(asked):.1f} | {times:.1f} | {less:.1f} | "
            f"{differ} of {len(asked)} |"
        )


if __name__ == "__main__":
    main()
