"""Show why leaks matter, on rule-made models first and then on models trained here and now."""

from __future__ import annotations

import shutil
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from vlsbench.cli._tables import print_table
from vlsbench.pages import Document, Section, Table, embedded

if TYPE_CHECKING:
    from vlsbench.evaluation import Evaluation

MODELS = ("helpful", "blind", "careful")
BENCHES = ("lab/leaky", "lab/leakless", "lab/benign")
PAGE = "index.html"
DEFAULT_PAIRS = 200
"""What the lab gives unless told otherwise."""
FAULTS = dict.fromkeys(("429", "500", "reset", "truncated", "html"), 0.005)
"""Rates of the server's faults; all pass."""
TITLE = "Visual leakage hides what a text-only safety model cannot see"
INTRO = """\
Three rule-made models answer the lab's three benchmarks. helpful always answers; blind is a \
perfect safety model of text that never looks at an image; careful looks.

Where the query names the danger (leaky), blind is as safe as careful, so a leaking benchmark \
cannot tell them apart. Where only the image shows it (leakless), blind is never safe. Neither \
refuses the benign controls. This is the point of VLSBench (arXiv 2411.19939), in a closed world \
of toasters and toddlers."""


TRAINED = """\
A real vision-language model with half a million parameters is aligned with text alone (t-sft) and \
with images (mm-sft), and asked about requests and materials that its alignment never combined. \
The rows differ in images and in what they teach about the word “this”: text alone calls it \
harmless, as whoever labels a text without its image does. `vlsbench lab reproduce` crosses the \
two."""


def demo(
    out: Annotated[
        Path, typer.Option(help="Where runs and reports go; replaces an earlier demo.")
    ] = Path("demo"),
    pairs: Annotated[int, typer.Option(min=1, help="Pairs of each benchmark.")] = DEFAULT_PAIRS,
    quick: Annotated[
        bool, typer.Option("--quick", help="Train nothing: done in seconds, needs no torch.")
    ] = False,
) -> None:
    """Show why leaks matter, on rule-made models first and then on models trained here and now.

    First the lab's three rule-made models answer its three benchmarks through a local HTTP server
    that fails now and then on purpose: some seconds that show what an evaluation is. Then a tiny
    vision-language model is trained, aligned with text alone and with images, and asked the same
    pairs with and without a leak: `vlsbench lab reproduce` with one seed and two of its arms.

    **Examples**

    - `vlsbench demo --out demo`
    - `vlsbench demo --quick`
    """
    if not quick:
        from vlsbench.aligning.model import need_extra

        need_extra("training the demo's models (--quick trains none)")
    ruled, page = _evaluate(out, pairs)
    print_table(ruled, TITLE)
    link = {"The comparison pair by pair, with links to every run": page.name}
    sections = [Section("Rule-made models", INTRO.split("\n\n"), ruled, links=link)]
    if not quick:
        sections += _train(out / "reproduction")
    Document(TITLE, sections, simulated=True).write(out / PAGE)
    typer.echo("Simulated: lab models and a lab judge; the figures say nothing about real models.")
    typer.echo(f"Report: {out / PAGE}")
    typer.echo(
        "Next:   vlsbench eval vlsbench --model openai/gpt-4o --judge openai/gpt-4o --limit 50"
    )


def _train(out: Path) -> list[Section]:
    """Run two arms of the experiment with one seed; return what came out."""
    from vlsbench.cli._reproduction import progress, show
    from vlsbench.lab import vlm

    with progress() as tell:
        result = vlm.reproduce(
            out, seeds=range(1), methods=vlm.QUICK, design=vlm.QUICK_DESIGN, tell=tell
        )
    show(result)
    arms, *more = result.shown
    image, texts = embedded(out / "figure.svg"), [TRAINED, *arms.texts]
    return [replace(arms, title="Trained models", texts=texts, figure=image), *more]


def _evaluate(out: Path, pairs: int) -> tuple[Table, Path]:
    """Evaluate the rule-made models; return their table, and the page that compares them."""
    from vlsbench import evaluation, lab
    from vlsbench.comparing import compare, figures_table, write_compared
    from vlsbench.engine import FILE

    console = Console(stderr=True)
    done: dict[str, list[Evaluation]] = {model: [] for model in MODELS}
    with lab.running(faults=FAULTS) as url:
        for model, bench in product(MODELS, BENCHES):
            console.print(f"{model} on {bench}", highlight=False)
            folder = out / f"{bench.removeprefix('lab/')}-{model}"
            if (folder / FILE).is_file():
                shutil.rmtree(folder)  # an earlier demo's, asked of a server that is gone
            run = evaluation.evaluate(
                bench if pairs == DEFAULT_PAIRS else f"{bench}?n={pairs}",
                model=f"lab/{model}@{url}",
                judge=f"lab/judge@{url}",
                output=evaluation.Output(out=folder, progress=console.is_terminal),
            )
            done[model].append(run)
    compared = compare(done)
    compared = replace(compared, notes=(*INTRO.split("\n\n"), *compared.notes))
    page, *_ = write_compared(compared, out)
    return figures_table(compared), page
