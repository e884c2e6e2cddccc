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
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

from inprocess_checks import checks
from inprocess_parts import (
    NOTHING,
    SMALL,
    Timed,
    agreement,
    ask_all,
    build,
    device_of,
    pairs_of,
    with_params,
)
from vlsbench.models import HfChat, Request

BIG = ("llava-1.5-7b", "qwen2.5-vl-7b")
CHECKS = "checks"
SAMPLED_S = 0.2
MOST_SECONDS = 260
"""Of a case."""
# A cache that grows by a token at a time leaves gaps that nothing fits into.
os.environ.setdefault("PYTORCH_CUDA_ALLOC_CONF", "expandable_segments:True")


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
