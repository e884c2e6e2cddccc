"""One model, every method: tokens per second and peak memory, beside plain TRL in the same run.

    python benchmarks/align_gpu.py                        # LLaVA-1.5-7B's shape; needs a GPU
    python benchmarks/align_gpu.py --shape qwen2.5-vl-7b
    python benchmarks/align_gpu.py --full                 # all parameters rather than LoRA
    python benchmarks/align_gpu.py --dry-run              # parameters alone; needs no GPU
    python benchmarks/align_gpu.py --shape mid --full --methods mm-sft     # on the CPU
    python benchmarks/align_gpu.py --shape tiny                            # does the script work?

Weights are random and rows are made up, so nothing is fetched; speed does not depend on either.
Every case runs in a process of its own, because peak memory is a process's. Time counts from the
end of the warm-up steps to the end of the last step: loading and saving are left out.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

from align_shapes import SHAPES, write

warnings.filterwarnings("ignore", "`is_gradient_checkpointing` is deprecated", FutureWarning)

WARM_UP = 2
METHODS = (
    "mm-sft",
    "t-sft",
    "mm-dpo",
    "t-dpo",
    "t-unlearning",
    "t-safe-unlearning",
    "mm-ppo",
)
PLAIN = ("mm-sft", "mm-dpo")
"""Methods with a plain TRL script to compare with."""


def clock() -> float:
    """Wall time on a GPU; on a CPU the time that this process had, whatever else is running."""
    import torch

    return time.perf_counter() if torch.cuda.is_available() else time.process_time()


def words(count: int, seed: int) -> str:
    draw = random.Random(seed)
    return " ".join(f"w{draw.randrange(1000)}" for _ in range(count))


def make_rows(method: str, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Rows for a method; half of the pictures are shared by two rows.

    Answers have one length, or with `--spread` lengths that are lognormal about it.
    """
    import numpy as np
    from PIL import Image

    shape = SHAPES[options.shape]
    side, draw = shape.side, random.Random(0)
    rows = []
    for at in range(options.rows):
        long = max(1, round(shape.answer * math.exp(draw.gauss(0, options.spread))))
        noise = np.random.default_rng(at // 2).integers(0, 255, (side, side, 3), dtype=np.uint8)
        question = [{"role": "user", "content": words(shape.question, at)}]
        reply = [{"role": "assistant", "content": words(long, -at - 1)}]
        other = [{"role": "assistant", "content": words(long, -at - 100_000)}]
        row: dict[str, Any] = {}
        if method.endswith("-sft"):
            row = {"prompt": question, "completion": reply}
        elif method.endswith("-dpo"):
            row = {"prompt": question, "chosen": reply, "rejected": other}
        elif "unlearning" in method:
            kind = ("harmful", "safe", "retain")[at % 3]
            row = {"prompt": question, "completion": reply, "kind": kind}
        else:
            row = {"prompt": question}
        if method.startswith("mm-"):
            row["images"] = [Image.fromarray(noise)]
        rows.append(row)
    return rows


def settings_of(options: argparse.Namespace, **more: Any) -> Any:
    from vlsbench.aligning import Lora, TrainingSettings

    return TrainingSettings(
        max_steps=options.steps,
        batch_size=options.batch_size,
        lora=None if options.full else Lora(r=16),
        gradient_checkpointing=not SHAPES[options.shape].toy,
        max_new_tokens=8 if SHAPES[options.shape].toy else 128,
        log_steps=1,
        **more,
    )


def ours(method: str, model: Path, options: argparse.Namespace) -> dict[str, Any]:
    from vlsbench.aligning import train

    times: list[float] = []
    rows = make_rows(method, options)
    with tempfile.TemporaryDirectory() as folder:
        done = train(
            method,
            model=model,
            rows=rows,
            out=Path(folder) / "out",
            settings=settings_of(options),
            reward=lambda rows, answers: [float(len(a) % 7) for a in answers],
            progress=lambda at, total: times.append(clock()),
        )
    return figures(times, [entry.get("num_tokens") for entry in done.curve])


def plain(method: str, model: Path, options: argparse.Namespace) -> dict[str, Any]:
    """TRL as its documentation has it, with the same settings."""
    import torch
    from datasets import Dataset, Features, Image, Value
    from peft import LoraConfig
    from transformers import AutoModelForImageTextToText, TrainerCallback
    from trl import DPOConfig, DPOTrainer, SFTConfig, SFTTrainer

    from vlsbench.aligning.model import LANGUAGE_LINEAR, PROJECTOR, VISION_TOWER
    from vlsbench.models import load_processor

    times: list[float] = []

    class Clock(TrainerCallback):
        def on_step_end(self, *arguments: Any, **more: Any) -> None:
            times.append(clock())

    cuda = torch.cuda.is_available()
    rows = make_rows(method, options)
    turn = [{"role": Value("string"), "content": Value("string")}]
    features = Features({key: turn for key in rows[0] if key != "images"} | {"images": [Image()]})
    weights = AutoModelForImageTextToText.from_pretrained(
        model, dtype=torch.bfloat16 if cuda and not options.full else torch.float32
    )
    for name, parameter in weights.named_parameters():
        if VISION_TOWER.search(name) and not PROJECTOR.search(name):
            parameter.requires_grad_(False)
    with tempfile.TemporaryDirectory() as folder:
        common = {
            "output_dir": folder,
            "max_steps": options.steps,
            "per_device_train_batch_size": options.batch_size,
            "gradient_checkpointing": not SHAPES[options.shape].toy,
            "bf16": cuda,
            "lr_scheduler_type": "cosine",
            "logging_steps": 1,
            "save_strategy": "no",
            "report_to": "none",
            "max_length": None,
            "disable_tqdm": True,
        }
        lora = LoraConfig(r=16, lora_alpha=32, target_modules=LANGUAGE_LINEAR)
        parts = {
            "model": weights,
            "train_dataset": Dataset.from_list(rows, features=features),
            "processing_class": load_processor(str(model)),
            "peft_config": None if options.full else lora,
            "callbacks": [Clock()],
        }
        if method == "mm-sft":
            trainer: Any = SFTTrainer(args=SFTConfig(**common), **parts)
        else:
            trainer = DPOTrainer(args=DPOConfig(**common, loss_type=["sigmoid", "sft"]), **parts)
        trainer.train()
        tokens = [e.get("num_tokens") for e in trainer.state.log_history if "loss" in e]
    return figures(times, tokens)


def figures(times: list[float], tokens: list[Any]) -> dict[str, Any]:
    import resource

    import torch

    seconds = times[-1] - times[WARM_UP - 1]
    known = len(tokens) == len(times) and tokens[-1] is not None
    done = tokens[-1] - tokens[WARM_UP - 1] if known else None
    peak = (
        torch.cuda.max_memory_allocated()
        if torch.cuda.is_available()
        else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    )
    return {
        "steps": len(times) - WARM_UP,
        "seconds_per_step": seconds / (len(times) - WARM_UP),
        "tokens_per_second": done / seconds if done else None,
        "peak_gib": peak / 2**30,
    }


def cases(options: argparse.Namespace) -> list[tuple[str, str]]:
    found = []
    for method in options.methods.split(","):
        # Turn about, so that a machine that slows down slows both.
        if method in PLAIN:
            found.append((method, "plain TRL"))
        found.append((method, "ours"))
    return found


def one(method: str, who: str, model: Path, options: argparse.Namespace) -> dict[str, Any]:
    if who == "plain TRL":
        return plain(method, model, options)
    return ours(method, model, options)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shape", choices=list(SHAPES), default="llava-1.5-7b")
    parser.add_argument("--dry-run", action="store_true", help="parameters alone")
    parser.add_argument("--full", action="store_true", help="all parameters rather than LoRA")
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--rows", type=int, default=64)
    parser.add_argument("--spread", type=float, default=0.0, help="of answers' log-lengths")
    parser.add_argument("--out", type=Path, help="write the figures here as JSON")
    parser.add_argument("--case", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--model", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()

    import torch

    shape = SHAPES[options.shape]
    if options.dry_run:
        announce(options)
        return
    if not shape.toy and not torch.cuda.is_available():
        sys.exit("needs a GPU; --dry-run and --shape tiny need none")
    if options.case:
        print(json.dumps(one(*options.case, options.model, options)))
        return
    found = []
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder)
        write(model, shape)
        for case in cases(options):
            command = [
                sys.executable,
                __file__,
                *sys.argv[1:],
                "--model",
                str(model),
                "--case",
                *case,
            ]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
            lines = done.stdout.strip().splitlines()
            result = json.loads(lines[-1]) if done.returncode == 0 else {"failed": True}
            found.append({"method": case[0], "who": case[1], **result})
            print(row_of(found[-1]), flush=True)
    if options.out:
        device = torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"
        options.out.write_text(json.dumps({"device": device, "figures": found}, indent=1))


def announce(options: argparse.Namespace) -> None:
    """Print what every method would train. No weight is made."""
    from vlsbench.aligning import plan_training

    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder), SHAPES[options.shape], weights=False)
        for method in options.methods.split(","):
            rows = make_rows(method, options)
            found = plan_training(
                method, model=folder, rows=rows, settings=settings_of(options, bf16=True)
            )
            learns = found.parameters
            print(
                f"{method:<18} {learns.trainable:>13,} of {learns.total:,} learn",
                flush=True,
            )


def row_of(case: dict[str, Any]) -> str:
    name = f"{case['method']:<18} {case['who']:<22}"
    if case.get("failed"):
        return f"{name} failed"
    tokens = case["tokens_per_second"]
    return (
        f"{name} {1000 * case['seconds_per_step']:>9.0f} ms/step "
        f"{'–' if tokens is None else format(tokens, ',.0f'):>9} tokens/s "
        f"{case['peak_gib']:>7.2f} GiB"
    )


if __name__ == "__main__":
    main()
