"""Train a vision-language model to be safe, over TRL and PEFT."""

from __future__ import annotations

import os
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING

from vlsbench.aligning._settings import AlignConfig
from vlsbench.cli._config import command
from vlsbench.cli._print import print_json, prose, say
from vlsbench.cli._reproduction import progress
from vlsbench.errors import VlsbenchError
from vlsbench.text import counted

if TYPE_CHECKING:
    from vlsbench.aligning import Trained, TrainingPlan


@command(
    AlignConfig,
    dry_run_help="Print what would be trained and stop; no weights are opened.",
    config_help="Read settings from a TOML file, or from one that ships: llava-1.5-7b, "
    "llava-1.5-13b, qwen2-vl-7b, qwen2.5-vl-7b. Options override it.",
)
def align(config: AlignConfig, *, as_json: bool, quiet: bool, dry_run: bool) -> None:
    """Train a vision-language model to be safe, over TRL and PEFT.

    Writes the model in plain Hugging Face format, align.json (settings, data, versions) and
    metrics.jsonl. Several GPUs: `torchrun --nproc-per-node 8 -m vlsbench align …`.

    **Examples**

    - `vlsbench align t-sft --config llava-1.5-7b --data saferlhf --accept-licence --out t-sft
      --dry-run`

    - `vlsbench align mm-sft --model ./llava --data vlguard-train=./VLGuard --accept-licence
      --lora r=16 --out mm-sft --check-against vlsbench`

    - `vlsbench align mm-dpo --model ./llava --data rows.jsonl --out mm-dpo`

    - `vlsbench align mm-ppo --model ./mm-sft --data rows.jsonl --reward rm:./reward --out ppo`

    Exit codes: 0 done, 1 something must be changed, 2 wrong usage, 130 interrupted (--save-steps
    and --resume go on).
    """
    from vlsbench.aligning import open_training

    # Of several processes on several GPUs, one speaks.
    alone = os.environ.get("RANK", "0") == "0"
    console = prose(quiet=not alone)

    if config.out is None and not dry_run:
        raise VlsbenchError("no folder for the model: give --out DIR (or --dry-run)")
    prepared = open_training(config, partial(say, style="yellow", console=console))
    if dry_run:
        found = prepared.plan()
        if as_json:
            print_json(found)
        else:
            _print_plan(found)
        return
    with progress(shown=alone and not quiet) as tell:
        trained = prepared.train(progress=partial(tell, str(config.method)))
    if not alone:
        return
    if as_json:
        print_json({**asdict(trained), "path": trained.path})
    else:
        _print_trained(trained)


def _print_plan(plan: TrainingPlan) -> None:
    learns = plan.parameters
    kinds = ", ".join(f"{kind}: {count:,}" for kind, count in plan.kinds.items())
    say(
        f"{plan.method} of {plan.model}, not started",
        f"rows: {plan.rows:,} ({kinds})",
        f"learning rate: {plan.learning_rate:g}",
        f"parameters: {learns.trainable:,} of {learns.total:,} learn, in {plan.lora_layers} LoRA "
        f"layers; {learns.frozen_vision:,} of the vision tower are frozen",
        console=prose(stderr=False),
    )


def _print_trained(trained: Trained) -> None:
    say(
        f"{counted(trained.steps, 'step')} in {trained.seconds:,.0f} s; {trained.trainable:,} of "
        f"{trained.parameters:,} parameters learnt"
    )
    for name in ("loss", "reward"):
        # PPO samples, and so has a reward, in one of several steps.
        if found := [entry[name] for entry in trained.curve if name in entry]:
            say(f"{name} {found[0]:.3f} → {found[-1]:.3f}")
    say(f"Next: vlsbench eval BENCH --model hf/{trained.path}", style="dim")
