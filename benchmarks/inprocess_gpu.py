"""Models in this process on a GPU: batched by `hf/…` beside the same model one by one.

    python benchmarks/inprocess_gpu.py           # LLaVA-1.5-7B and Qwen2.5-VL-7B; needs a GPU
    python benchmarks/inprocess_gpu.py --tiny    # does the script work? a minute on a CPU

Weights are random, images and words made up, so nothing is fetched; speed does not depend on
either. One by one is plain transformers, `processor` and `generate` for each pair in turn, measured
on a few pairs and scaled. Every case has a process of its own; each prints a line of JSON, and at
the end there is a table. Results in docs/performance.md.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

from align_shapes import LLAVA_SPECIAL, QWEN_SPECIAL, SHAPES, WORDS, tokenizer, write
from vlsbench.models import HfChat, Loading, LocalModel, Params, Request
from vlsbench.pairs import ImageData

BIG = ("llava-1.5-7b", "qwen2.5-vl-7b")
SMALL = ("tiny", "tiny-qwen2.5-vl")
CHECKS = "checks"
SAMPLED_S = 0.2
NOTHING = "cpu"
MOST_SECONDS = 260
"""Of a case."""
# A cache that grows by a token at a time leaves gaps that nothing fits into.
os.environ.setdefault("PYTORCH_CUDA_ALLOC_CONF", "expandable_segments:True")


def device_of(options: argparse.Namespace) -> str:
    import torch

    return "cuda" if torch.cuda.is_available() and not options.cpu else NOTHING


def build(name: str, device: str, dtype: Any = None) -> tuple[Any, Any]:
    """Make a model with random weights where it will run, and its processor."""
    import torch
    from transformers import AutoModelForImageTextToText

    shape = SHAPES[name]
    config, processor = shape.config(), shape.processor()
    special = QWEN_SPECIAL if "qwen" in name else LLAVA_SPECIAL
    words = config.get_text_config().vocab_size - len(special)
    if words != WORDS:  # what it writes must be words, or replies could not be compared
        processor.tokenizer = tokenizer(special, words)
    dtype = dtype or (torch.float32 if device == NOTHING else torch.bfloat16)
    torch.manual_seed(0)
    with torch.device(device):
        model = AutoModelForImageTextToText.from_config(config, dtype=dtype)
    return model.eval(), processor


def pairs_of(count: int, side: int, most_words: int = 60) -> list[Request]:
    """Make pairs of different images and questions of 10 to 60 words."""
    import numpy as np
    from PIL import Image

    def picture(seed: int) -> ImageData:
        rough = np.random.default_rng(seed).integers(0, 255, (side // 16, side // 16, 3), np.uint8)
        out = io.BytesIO()
        Image.fromarray(rough).resize((side, side), Image.Resampling.BICUBIC).save(out, "JPEG")
        return ImageData.of(out.getvalue(), f"{seed}.jpg")

    draw = random.Random(0)
    texts = [
        " ".join(f"w{draw.randrange(WORDS)}" for _ in range(draw.randint(10, most_words)))
        for _ in range(count)
    ]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        images = list(pool.map(picture, range(count)))
    return [Request(text, (image,)) for text, image in zip(texts, images, strict=True)]


def plain(model: Any, processor: Any, request: Request, new: int) -> tuple[str, float]:
    """Ask one pair as transformers' documentation does; return the reply and the seconds."""
    import torch
    from PIL import Image

    began = time.perf_counter()
    image = Image.open(io.BytesIO(request.images[0].data)).convert("RGB")
    parts = [{"type": "image"}, {"type": "text", "text": request.text}]
    prompt = processor.apply_chat_template(
        [{"role": "user", "content": parts}], add_generation_prompt=True
    )
    inputs = processor(text=[prompt], images=[image], return_tensors="pt").to(
        model.device, model.dtype
    )
    with torch.inference_mode():
        ids = model.generate(
            **inputs,
            do_sample=False,
            max_new_tokens=new,
            min_new_tokens=new,
            suppress_tokens=[model.config.image_token_id],
        )[:, inputs["input_ids"].shape[1] :]
    text = processor.tokenizer.batch_decode(ids, skip_special_tokens=True)[0].strip()
    return text, time.perf_counter() - began


class Timed(LocalModel):
    """A model that keeps how long it took for what."""

    spent: Counter[str]
    batches: list[tuple[int, int, float]]
    peaks: list[int]
    writing: list[tuple[float, float]]
    """When tokens after the first were written."""

    def begin(self) -> None:
        object.__setattr__(self, "spent", Counter())
        object.__setattr__(self, "batches", [])
        object.__setattr__(self, "peaks", [0])
        object.__setattr__(self, "writing", [])
        self.model.register_forward_pre_hook(self._before, with_kwargs=True)
        self.model.register_forward_hook(self._after, with_kwargs=True)

    @contextmanager
    def timed(self, what: str) -> Iterator[None]:
        began = time.perf_counter()
        yield
        self.spent[what] += time.perf_counter() - began

    def _prefills(self, options: dict[str, Any]) -> bool:
        ids = options.get("input_ids")
        return ids is not None and ids.shape[1] > 1

    def _before(self, _: Any, __: Any, options: dict[str, Any]) -> None:
        if self._prefills(options):
            wait(self.model)
            self.spent["began"] = time.perf_counter()

    def _after(self, _: Any, __: Any, options: dict[str, Any], ___: Any) -> None:
        if self._prefills(options):
            wait(self.model)
            self.spent["over"] = time.perf_counter()
            self.spent["prefill"] += self.spent["over"] - self.spent["began"]

    def prepare(self, *given: Any, **options: Any) -> Any:
        with self.timed("prepare"):
            return super().prepare(*given, **options)

    def collate(self, *given: Any) -> Any:
        with self.timed("collate"):
            return super().collate(*given)

    def generate(self, questions: Any, inputs: Any, *rest: Any) -> Any:
        began = time.perf_counter()
        try:
            replies = super().generate(questions, inputs, *rest)
        except Exception:
            self.spent["failed"] += 1
            raise
        finally:
            self.peaks.append(peak_of(self.model))
            self.spent["generate"] += time.perf_counter() - began
        self.writing.append((self.spent["over"], time.perf_counter()))
        row = (len(questions), inputs["input_ids"].shape[1], time.perf_counter() - began)
        self.batches.append(row)
        print(f"batch of {row[0]}, {row[1]} tokens: {row[2]:.1f} s", file=sys.stderr, flush=True)
        return replies


def wait(model: Any) -> None:
    import torch

    if model.device.type == "cuda":
        torch.cuda.synchronize()


def peak_of(model: Any) -> int:
    import torch

    return int(torch.cuda.max_memory_allocated()) if model.device.type == "cuda" else 0


class Watch(threading.Thread):
    """Reads how busy the GPU is, by NVML: the share of time that a kernel was running."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.seen: list[tuple[float, int]] = []
        self.over = threading.Event()
        try:
            import pynvml

            pynvml.nvmlInit()
            self.read: Any = pynvml.nvmlDeviceGetUtilizationRates
            self.card: Any = pynvml.nvmlDeviceGetHandleByIndex(0)
        except Exception as error:
            print(f"no NVML: {error}", file=sys.stderr)
            self.read = None

    def run(self) -> None:
        while self.read and not self.over.wait(SAMPLED_S):
            self.seen.append((time.perf_counter(), int(self.read(self.card).gpu)))

    def busy(self, within: Sequence[tuple[float, float]] = ((0, 1e18),)) -> float | None:
        self.over.set()
        seen = [busy for at, busy in self.seen if any(a <= at <= b for a, b in within)]
        return sum(seen) / len(seen) / 100 if seen else None


async def ask_all(
    chat: HfChat, requests: Sequence[Request], most_seconds: float | None = None
) -> tuple[dict[int, str], float]:
    """Ask like a run does, a bounded number at once; what is not there after so long is left."""
    began = last = time.perf_counter()
    replies: dict[int, str] = {}
    todo = iter(enumerate(requests))

    async def worker() -> None:
        nonlocal last
        for place, request in todo:
            replies[place] = (await chat.ask(request)).text
            last = time.perf_counter()

    workers = [asyncio.create_task(worker()) for _ in range(chat.in_flight + 8)]
    done, pending = await asyncio.wait(workers, timeout=most_seconds)
    for task in pending:
        task.cancel()
    for task in done:
        task.result()
    return replies, last - began


def with_params(requests: Sequence[Request], new: int) -> list[Request]:
    params = Params(max_tokens=new, extra=(f"min_new_tokens={new}",))
    return [Request(one.text, one.images, params=params) for one in requests]


def throughput(name: str, options: argparse.Namespace) -> dict[str, Any]:
    import torch

    began = time.perf_counter()
    device = device_of(options)
    model, processor = build(name, device)
    requests = pairs_of(options.pairs, options.side)
    ready = time.perf_counter() - began
    print(f"{name}: ready after {ready:.1f} s", file=sys.stderr, flush=True)
    plain(model, processor, requests[-1], 4)
    alone = [plain(model, processor, one, options.new) for one in requests[: options.alone]]
    each = sum(seconds for _, seconds in alone) / len(alone)
    print(f"{name}: one by one {each:.2f} s a pair", file=sys.stderr, flush=True)
    local: Any = Timed.of(model, processor)
    local.begin()
    chat = HfChat(f"hf/{name}", local=local)
    guess = chat._room.tokens
    if device != NOTHING:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    watch = Watch()
    watch.start()
    started = time.perf_counter()
    replies, wall = asyncio.run(
        ask_all(chat, with_params(requests, options.new), options.most_seconds)
    )
    whole = time.perf_counter() - started  # a batch that the limit cut is answered all the same
    busy, spent = watch.busy(), local.spent
    done = len(replies)
    found = {
        "case": name,
        "device": torch.cuda.get_device_name() if device != NOTHING else "CPU",
        "dtype": str(model.dtype),
        "parameters": sum(p.numel() for p in model.parameters()),
        "pairs": done,
        "of": len(requests),
        "side": options.side,
        "new_tokens": options.new,
        "alone_pairs": len(alone),
        "alone_seconds_per_pair": each,
        "batched_seconds": wall,
        "batched_seconds_per_pair": wall / done,
        "times": each * done / wall,
        "tokens_per_second": done * options.new / wall,
        "busy": busy,
        "busy_decoding": watch.busy(local.writing),
        "decode_ms_a_step": 1000
        * (spent["generate"] - spent["prefill"])
        / (len(local.batches) * options.new),
        "share_prefill": spent["prefill"] / whole,
        "share_decode": (spent["generate"] - spent["prefill"]) / whole,
        "share_waiting": 1 - spent["generate"] / whole,
        "prepare_thread_seconds": spent["prepare"],
        "collate_seconds": spent["collate"],
        "out_of_memory": spent["failed"],
        "batches": local.batches,
        "room_guessed": guess if guess < float("inf") else None,
        "room_learned": chat._room.tokens if chat._room.tokens < float("inf") else None,
        "equal_to_alone": sum(replies.get(n) == text for n, (text, _) in enumerate(alone)),
        "equal_words": agreement([(replies.get(n, ""), text) for n, (text, _) in enumerate(alone)]),
        "ready_seconds": ready,
    }
    if device != NOTHING:
        found |= {"peak_gib": max(local.peaks) / 2**30}
        try:
            found |= floor(model, local, options)
        except Exception as error:  # the others count all the same
            found["floor"] = f"failed: {error!r}"
    return found


def agreement(texts: Sequence[tuple[str, str]]) -> float:
    """Mean share of a reply's words before the first that differs."""
    shares = []
    for one, other in texts:
        a, b = one.split(), other.split()
        same = next(
            (n for n, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b))
        )
        shares.append(same / max(1, len(b)))
    return sum(shares) / len(shares)


def floor(model: Any, local: Any, options: argparse.Namespace) -> dict[str, Any]:
    """What the device could do at best: arithmetic of prefill, reading weights and cache to write.

    Both rates are measured here: a product of 8192-square matrices, a copy of 4 GiB.
    """
    import torch

    square = torch.randn(8192, 8192, device="cuda", dtype=model.dtype)
    block = torch.empty(2**32, device="cuda", dtype=torch.uint8)

    def seconds(work: Any, count: int) -> float:
        work()
        torch.cuda.synchronize()
        began = time.perf_counter()
        for _ in range(count):
            work()
        torch.cuda.synchronize()
        return (time.perf_counter() - began) / count

    flops = 2 * 8192**3 / seconds(lambda: square @ square, 10)
    copied = torch.empty_like(block)
    bytes_per_second = 2 * block.numel() / seconds(lambda: copied.copy_(block), 5)
    config = model.config.get_text_config()
    width = config.hidden_size // config.num_attention_heads
    cache = 2 * config.num_hidden_layers * config.num_key_value_heads * width * 2
    tower = sum(p.numel() for n, p in model.named_parameters() if "vis" in n)
    words = sum(p.numel() for n, p in model.named_parameters()) - tower
    patches = 4 * (options.side // 28 + 1) ** 2 if "qwen" in model.config.model_type else 577
    prefill = write = 0.0
    for rows, tokens, _ in local.batches:
        attention = 4 * config.num_hidden_layers * config.hidden_size * tokens**2 / 2
        prefill += rows * (2 * words * tokens + attention + 2 * tower * patches) / flops
        held = cache * rows * (tokens + options.new / 2)
        write += options.new * (2 * words + held) / bytes_per_second
    return {
        "measured_tflops": flops / 1e12,
        "measured_tb_per_second": bytes_per_second / 1e12,
        "floor_prefill_seconds": prefill,
        "floor_decode_seconds": write,
        "prefill_seconds": local.spent["prefill"],
        "decode_seconds": local.spent["generate"] - local.spent["prefill"],
    }


def asked(chat: HfChat, requests: Sequence[Request]) -> list[str]:
    replies, _ = asyncio.run(ask_all(chat, requests))
    return [replies[place] for place in range(len(requests))]


def checks(options: argparse.Namespace) -> dict[str, Any]:
    """Does it say the same at any batch size; does it survive a device that is too small?"""
    import torch

    device, found = device_of(options), {}
    types = {"float32": torch.float32}
    if device != NOTHING:
        types |= {"bfloat16": torch.bfloat16, "float16": torch.float16}
    requests = with_params(pairs_of(32, 168, 30), 16)
    for name in SMALL:
        texts = {}
        for dtype, kind in types.items():
            model, processor = build(name, device, kind)
            sharpen(model)
            local = LocalModel.of(model, processor)
            one, many = (
                asked(HfChat(f"hf/{name}", Loading(batch_size=size), local), requests)
                for size in (1, 8)
            )
            texts[dtype] = one
            equal = sum(a == b for a, b in zip(one, many, strict=True))
            words = agreement(list(zip(one, many, strict=True)))
            found[f"{name} {dtype}: equal replies of 32, batch 1 and 8"] = equal
            found[f"{name} {dtype}: words before the first difference"] = round(words, 3)
        found[f"{name}: different replies"] = len(set(texts["float32"]))
    for check in (windows, loaded, crowded):
        try:
            found |= check(device)
        except Exception as error:  # the others count all the same
            found[check.__name__] = f"failed: {error!r}"
            traceback.print_exc()
    return {"case": CHECKS, "device": device, **found}


def sharpen(model: Any) -> None:
    """Make weights so large that what is seen and read decides what is written."""
    for part in model.parameters():
        if part.dim() > 1:
            part.data.mul_(4)


def windows(device: str) -> dict[str, Any]:
    """Is packed attention the towers' own, and how fast is it?"""
    import torch

    kind = torch.float32 if device == NOTHING else torch.bfloat16
    model, processor = build("tiny-qwen2.5-vl", device, kind)
    image = pairs_of(1, 504)[0].images[0]
    from PIL import Image

    seen = processor.image_processor(
        [Image.open(io.BytesIO(image.data))] * 8, return_tensors="pt"
    ).to(device)
    tower = model.model.visual

    def look() -> tuple[Any, float]:
        with torch.inference_mode():
            tower(seen["pixel_values"].to(kind), grid_thw=seen["image_grid_thw"])
            wait(model)
            began = time.perf_counter()
            made = tower(seen["pixel_values"].to(kind), grid_thw=seen["image_grid_thw"])
            wait(model)
        return made.pooler_output.float(), time.perf_counter() - began

    own, slow = look()
    LocalModel.of(model, processor)
    packed, fast = look()
    gap = float((own - packed).abs().max() / own.abs().max())
    return {"windows: largest difference": gap, "windows: times": slow / fast}


def loaded(device: str) -> dict[str, Any]:
    """A folder, loaded as a user would."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder), SHAPES["tiny"])
        requests = with_params(pairs_of(4, 64, 20), 4)
        for dtype in ("auto", "bfloat16", "float16", "float32"):
            chat = HfChat(f"hf/{folder}", Loading(dtype=dtype))
            said = asked(chat, requests)
            where = str(chat._local.model.device)
            found[f"loaded {dtype}"] = f"{len(said)} replies, {chat.identity['dtype']} on {where}"
    return found


def crowded(device: str) -> dict[str, Any]:
    """Ask for more than a device holds: every question is answered all the same."""
    import torch

    if device == NOTHING:
        return {}
    model, processor = build("mid", "cuda", torch.float32)
    requests = with_params(pairs_of(256, 84, 400), 16)
    local: Any = Timed.of(model, processor)
    local.begin()
    torch.cuda.reset_peak_memory_stats()
    rest = torch.cuda.memory_allocated()
    chat = HfChat("hf/mid", local=local)
    prepared = [chat._prepare(one) for one in requests]
    torch.cuda.reset_peak_memory_stats()
    local.generate(prepared, local.collate(prepared), requests[0].params, range(256))
    peak = torch.cuda.max_memory_allocated()
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction((rest + 0.3 * (peak - rest)) / total)
    local.batches.clear()
    local.spent.clear()
    chat = HfChat("hf/mid", local=local)
    said = asked(chat, requests)
    first = local.spent["failed"]
    asked(chat, requests)
    torch.cuda.set_per_process_memory_fraction(1.0)
    return {
        "crowded: answered of 256": len(said),
        "crowded: out of memory, first time": first,
        "crowded: out of memory, second time": local.spent["failed"] - first,
        "crowded: batches": [rows for rows, _, _ in local.batches],
        "crowded: peak of the whole batch, GiB": round((peak - rest) / 2**30, 2),
    }


def table(found: Sequence[dict[str, Any]]) -> str:
    head = (
        "| model | device | pairs | one by one, s a pair | batched, s a pair | times | busy "
        "| prefill | decode | waiting | floor, s | took, s | peak, GiB |\n"
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
    )
    rows = [head]
    for one in found:
        if "times" not in one:
            continue
        least = one.get("floor_prefill_seconds", 0) + one.get("floor_decode_seconds", 0)
        busy = "–" if one["busy"] is None else f"{one['busy']:.0%}"
        rows.append(
            f"| {one['case']} | {one['device']} | {one['pairs']} | "
            f"{one['alone_seconds_per_pair']:.2f} | {one['batched_seconds_per_pair']:.3f} | "
            f"{one['times']:.1f} | {busy} | {one['share_prefill']:.0%} | "
            f"{one['share_decode']:.0%} | {one['share_waiting']:.0%} | {least:.1f} | "
            f"{one['batched_seconds']:.1f} | {one.get('peak_gib', 0):.1f} |"
        )
    return "\n".join(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tiny", action="store_true", help="tiny models, few pairs, on the CPU")
    parser.add_argument("--cpu", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--pairs", type=int, default=512)
    parser.add_argument("--side", type=int, default=1024, help="pixels")
    parser.add_argument("--new", type=int, default=256, help="tokens of a reply")
    parser.add_argument("--alone", type=int, default=5, help="pairs that are asked one by one")
    parser.add_argument(
        "--most-seconds", type=float, default=150, help="pairs not answered by then are left"
    )
    parser.add_argument("--cases", help="names, joined by commas")
    parser.add_argument("--out", type=Path, help="write all figures here as JSON")
    parser.add_argument("--case", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.tiny:
        options.cpu, options.pairs, options.side, options.new = True, 48, 168, 16
    if options.case:
        run = checks(options) if options.case == CHECKS else throughput(options.case, options)
        print(json.dumps(run))
        return
    if not options.tiny and device_of(options) == NOTHING:
        sys.exit("needs a GPU; --tiny needs none")
    usual = (*(SMALL if options.tiny else BIG), CHECKS)
    found = []
    for case in options.cases.split(",") if options.cases else usual:
        command = [sys.executable, __file__, *sys.argv[1:], "--case", case]
        try:
            done = subprocess.run(
                command, stdout=subprocess.PIPE, text=True, check=False, timeout=MOST_SECONDS
            )
            lines = done.stdout.strip().splitlines()
            one = json.loads(lines[-1]) if done.returncode == 0 and lines else {"case": case}
        except subprocess.TimeoutExpired:
            one = {"case": case, "failed": f"took more than {MOST_SECONDS} s"}
        found.append(one)
        print(json.dumps(one), flush=True)
        if options.out:
            options.out.write_text(json.dumps(found, indent=1))
    print(table(found))
    sys.exit(any("device" not in one for one in found))


if __name__ == "__main__":
    main()
