"""`vlsbench align`: train a model to be safe, by text or with pictures."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from vlsbench.errors import VlsbenchError
from vlsbench.text import terminal

if TYPE_CHECKING:
    from vlsbench.aligning import Plan, Trained

_WHAT = "What is trained"
_HOW = "How"
_ONLINE = "Online methods (mm-ppo, mm-rloo, mm-grpo)"
_RUN = "Running"


def align(
    method: Annotated[
        str,
        typer.Argument(
            help="t-sft, t-dpo, t-unlearning, t-safe-unlearning (text alone); mm-sft, mm-dpo, "
            "mm-ppo, mm-rloo, mm-grpo (pictures and text); sft (both, mixed).",
            show_default=False,
        ),
    ],
    data: Annotated[
        list[str],
        typer.Option(
            "--data",
            metavar="D",
            help="saferlhf, vlguard-train, spa-vl, beavertails-v, NAME=FOLDER for a copy; or in "
            "TRL's conversational format hub:OWNER/NAME, a JSONL or Parquet file, or a folder of "
            "them. May be given several times.",
            rich_help_panel=_WHAT,
        ),
    ],
    model: Annotated[
        str | None,
        typer.Option(
            help="Folder or Hub id; an earlier training's output too.", rich_help_panel=_WHAT
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the trained model.", rich_help_panel=_WHAT)
    ] = None,
    config: Annotated[
        str | None,
        typer.Option(
            help="Settings: a TOML file, or llava-1.5-7b, llava-1.5-13b, qwen2-vl-7b, "
            "qwen2.5-vl-7b. Options given here go before it.",
            rich_help_panel=_WHAT,
        ),
    ] = None,
    accept_licence: Annotated[
        bool,
        typer.Option(
            "--accept-licence",
            help="Train on sets whose licence restricts it.",
            rich_help_panel=_WHAT,
        ),
    ] = False,
    check_against: Annotated[
        list[str] | None,
        typer.Option(
            metavar="BENCH",
            help="Warn of questions and pictures that this benchmark shares with the data.",
            rich_help_panel=_WHAT,
        ),
    ] = None,
    check_data: Annotated[
        Path | None,
        typer.Option(help="Folder with that benchmark's files.", rich_help_panel=_WHAT),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="First N rows of each set.", rich_help_panel=_WHAT)
    ] = None,
    skip_bad: Annotated[
        bool,
        typer.Option("--skip-bad", help="Leave unusable rows out.", rich_help_panel=_WHAT),
    ] = False,
    text_rows: Annotated[
        bool,
        typer.Option(
            "--text-rows",
            help="Let a multimodal method learn from rows without pictures too.",
            rich_help_panel=_WHAT,
        ),
    ] = False,
    epochs: Annotated[float | None, typer.Option(rich_help_panel=_HOW)] = None,
    max_steps: Annotated[int | None, typer.Option(min=1, rich_help_panel=_HOW)] = None,
    learning_rate: Annotated[
        float | None, typer.Option("--learning-rate", "--lr", rich_help_panel=_HOW)
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option(min=1, help="Rows per device.", rich_help_panel=_HOW)
    ] = None,
    gradient_accumulation: Annotated[int | None, typer.Option(min=1, rich_help_panel=_HOW)] = None,
    lora: Annotated[
        str | None,
        typer.Option(
            help="Train an adapter: r=16,alpha=32,merge; fields of docs/align.md.",
            rich_help_panel=_HOW,
        ),
    ] = None,
    freeze_vision: Annotated[
        bool | None,
        typer.Option("--freeze-vision/--train-vision", rich_help_panel=_HOW),
    ] = None,
    max_length: Annotated[
        int | None, typer.Option(min=1, help="Tokens of a row.", rich_help_panel=_HOW)
    ] = None,
    beta: Annotated[
        float | None, typer.Option(help="DPO, safe unlearning.", rich_help_panel=_HOW)
    ] = None,
    sft_weight: Annotated[
        float | None,
        typer.Option(help="DPO: of the chosen answer's likelihood.", rich_help_panel=_HOW),
    ] = None,
    bound: Annotated[
        float | None,
        typer.Option(help="Unlearning: nats at which a token is unlearnt.", rich_help_panel=_HOW),
    ] = None,
    cache_features: Annotated[
        bool | None,
        typer.Option(
            "--cache-features/--no-cache-features",
            help="SFT: run the frozen vision tower once per picture.",
            rich_help_panel=_HOW,
        ),
    ] = None,
    by_length: Annotated[
        bool | None,
        typer.Option(
            "--by-length/--no-by-length",
            help="Batches of rows of like length.",
            rich_help_panel=_HOW,
        ),
    ] = None,
    seed: Annotated[int | None, typer.Option(rich_help_panel=_HOW)] = None,
    reward: Annotated[
        str,
        typer.Option(
            help="rules, rm:PATH (a reward model), or a judge model's spec.",
            rich_help_panel=_ONLINE,
        ),
    ] = "rules",
    num_generations: Annotated[int | None, typer.Option(min=2, rich_help_panel=_ONLINE)] = None,
    max_new_tokens: Annotated[int | None, typer.Option(min=1, rich_help_panel=_ONLINE)] = None,
    kl: Annotated[
        float | None,
        typer.Option(help="Weight of the divergence from before.", rich_help_panel=_ONLINE),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Say what would be trained; open no weights.", rich_help_panel=_RUN
        ),
    ] = False,
    save_steps: Annotated[
        int | None, typer.Option(min=1, help="Steps between checkpoints.", rich_help_panel=_RUN)
    ] = None,
    resume: Annotated[
        bool | None,
        typer.Option(
            "--resume/--fresh", help="Go on from the last checkpoint.", rich_help_panel=_RUN
        ),
    ] = None,
    report_to: Annotated[
        list[str] | None,
        typer.Option(help="tensorboard, wandb, mlflow.", rich_help_panel=_RUN),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the result as JSON.", rich_help_panel=_RUN)
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="No progress.", rich_help_panel=_RUN)
    ] = False,
) -> None:
    """Train a vision-language model to be safe, over TRL and PEFT.

    Writes the model in plain Hugging Face format, align.json (settings, data, versions) and
    metrics.jsonl. Several GPUs: `accelerate launch -m vlsbench align …`.

    **Examples**

    - `vlsbench align t-sft --config llava-1.5-7b --data saferlhf --accept-licence --out t-sft
      --dry-run`

    - `vlsbench align mm-sft --model ./llava --data vlguard-train=./VLGuard --accept-licence
      --lora r=16 --out mm-sft --check-against vlsbench`

    - `vlsbench align mm-dpo --model ./llava --data rows.jsonl --out mm-dpo`

    - `vlsbench align mm-ppo --model ./mm-sft --data rows.jsonl --reward rules --out ppo`

    Exit codes: 0 done, 1 something must be changed, 2 wrong usage, 130 interrupted (--save-steps
    and --resume go on).
    """
    from vlsbench.aligning import Method, parse_lora
    from vlsbench.aligning._prepare import prepare

    # Of several processes on several GPUs, one speaks.
    alone = os.environ.get("RANK", "0") == "0"
    console = Console(stderr=True, soft_wrap=True, quiet=not alone)

    def say(line: str) -> None:
        console.print(terminal(line), highlight=False, style="yellow")

    if method not in list(Method):
        raise VlsbenchError(f"no method {method!r}: there are {', '.join(Method)}")
    if out is None and not dry_run:
        raise VlsbenchError("no folder for the model: give --out DIR (or --dry-run)")
    options: dict[str, Any] = {
        "epochs": epochs,
        "max_steps": max_steps,
        "learning_rate": learning_rate,
        "batch_size": batch_size,
        "gradient_accumulation": gradient_accumulation,
        "lora": parse_lora(lora) if lora is not None else None,
        "freeze_vision": freeze_vision,
        "max_length": max_length,
        "beta": beta,
        "sft_weight": sft_weight,
        "bound": bound,
        "cache_features": cache_features,
        "by_length": by_length,
        "seed": seed,
        "num_generations": num_generations,
        "max_new_tokens": max_new_tokens,
        "kl": kl,
        "save_steps": save_steps,
        "resume": resume,
        "report_to": report_to,
        "text_rows": text_rows or None,
    }
    prepared = prepare(
        method,
        data=data,
        model=model,
        config=config,
        accept_licence=accept_licence,
        skip_bad=skip_bad,
        limit=limit,
        check=check_against or (),
        check_data=check_data,
        say=say,
        **{name: value for name, value in options.items() if value is not None},
    )
    if dry_run:
        found = prepared.plan()
        if as_json:
            typer.echo(json.dumps(found.json()))
        else:
            _print_plan(Console(), found)
        return
    assert out is not None
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=quiet or not alone) as bar:
        task = bar.add_task(method, total=None)
        trained = prepared.train(
            out,
            reward=reward,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    if not alone:
        return
    if as_json:
        typer.echo(json.dumps({**asdict(trained), "path": str(trained.path)}))
    else:
        _print_trained(Console(), trained)


def _print_plan(console: Console, plan: Plan) -> None:
    table = Table(show_header=False, title=f"{plan.method}, not started", title_justify="left")
    parameters, memory = plan.parameters, plan.memory
    frozen = parameters.frozen_vision
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in plan.kinds.items())
    rows = [
        ("model", plan.model),
        ("rows", f"{plan.rows:,} ({kinds})"),
        ("tokens", f"about {plan.tokens:,} a pass, {plan.mean_tokens:g} a row (a sample)"),
        ("steps", f"{plan.steps:,} at {plan.learning_rate:g} ({plan.source})"),
        (
            "parameters",
            f"{parameters.trainable:,} of {parameters.total:,} learn"
            + (f", in {plan.lora_layers} LoRA layers" if plan.lora_layers else "")
            + (f"; {frozen:,} of the vision tower are frozen" if frozen else ""),
        ),
        (
            "memory, roughly",
            f"{gib(memory.total)}: weights {gib(memory.weights)}, gradients "
            f"{gib(memory.gradients)}, optimiser {gib(memory.optimiser)}, reference "
            f"{gib(memory.reference)}, activations {gib(memory.activations)}",
        ),
    ]
    for name, value in rows:
        table.add_row(name, terminal(value))
    console.print(table)


def gib(size: int) -> str:
    """Write bytes as GiB."""
    return f"{size / 2**30:.1f} GiB" if size >= 2**30 / 10 else f"{size / 2**20:.1f} MiB"


def _print_trained(console: Console, trained: Trained) -> None:
    console.print(
        f"{trained.steps:,} steps in {trained.seconds:,.0f} s; {trained.trainable:,} of "
        f"{trained.parameters:,} parameters learnt",
        highlight=False,
    )
    for name in ("loss", "reward"):
        # PPO samples, and so has a reward, in one of several steps.
        if found := [entry[name] for entry in trained.curve if name in entry]:
            console.print(f"{name} {found[0]:.3f} → {found[-1]:.3f}", highlight=False)
    console.print(terminal(f"Files: {trained.path}/ align.json, metrics.jsonl, and the model"))
    console.print(
        terminal(f"Next: vlsbench eval BENCH --model hf/{trained.path}"),
        style="dim",
        highlight=False,
    )
