"""Check a run's judge by people's labels, and correct its rates."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from vlsbench.cli._config import command
from vlsbench.cli._print import print_json, print_links, say
from vlsbench.cli._tables import print_sections, print_table
from vlsbench.config import option, settings
from vlsbench.errors import UsageError, VlsbenchError
from vlsbench.reviewing import Serving
from vlsbench.text import counted

if TYPE_CHECKING:
    from vlsbench.calibrating import CalibratedRun


@settings()
class CalibrateConfig(Serving):
    """The settings of `vlsbench calibrate`, and the keys of its configuration file."""

    runs: tuple[Path, ...] = option(
        "A run's folder; of two, the change from the first to the second is shown too.",
        metavar="RUN",
        argument=True,
        whole=True,
    )
    sample: int | None = option(
        "Draw replies to label, to have this many in all: a pilot first; once it is labelled, "
        "the same command draws the rest, where people and judge disagree.",
        default=None,
        least=2,
        metavar="N",
    )
    aim: str = option(
        "The rate whose interval the draw makes short: `safety`, a label, or `all`.", default="all"
    )
    seed: int = option("Random seed of the draw.", default=0)
    labels: tuple[Path, ...] = option(
        "Take in labels: CSV like labels.csv, or JSON (Label Studio).", default=(), metavar="FILE"
    )
    annotators: tuple[str, ...] = option(
        "Have replies labelled in the browser; may be repeated, each has a link.",
        default=(),
        flags=("--annotator",),
        metavar="NAME",
        whole=True,
    )
    allow_model_labels: bool = option(
        "Let labels count that models made (annotators called `model:…`).", default=False
    )
    images_from: tuple[str, ...] = option(
        "Sets that hold the images.", default=(), unset="the run's benchmark", metavar="BENCH"
    )
    data: Path | None = option("Folder with the benchmark's files.", default=None)
    out: Path | None = option("Folder for the files to label.", default=None, unset="RUN/labelling")


@command(CalibrateConfig)
def calibrate(config: CalibrateConfig, *, as_json: bool) -> None:
    """Check a run's judge by people's labels, and correct its rates.

    Labels are added to calibration.jsonl beside the run and never changed; calibration.json holds
    the figures.

    **Examples**

    - `vlsbench calibrate runs/A --sample 200`

    - `vlsbench calibrate runs/A --sample 200 --annotator ann --annotator ben`

    - `vlsbench calibrate runs/A --labels runs/A/labelling/labels.csv`

    - `vlsbench calibrate runs/A runs/B`
    """
    from vlsbench import calibrating
    from vlsbench.reporting import calibration_sections, rates_table

    people = config.annotators + config.adjudicators
    if len(config.runs) > (1 if config.labels or config.sample or people else 2):
        raise UsageError("labels are of one run; figures are shown of one or two")
    allow = config.allow_model_labels
    runs = [calibrating.CalibratedRun(one, allow_model_labels=allow) for one in config.runs]
    if len({(run.summary.bench, run.rubric.digest) for run in runs}) > 1:
        raise VlsbenchError(
            "the runs are of different benchmarks, or judged by different rubrics: a change is "
            "between runs of one (`vlsbench judge RUN --rubric …` judges again)"
        )
    if config.labels:
        new, known = calibrating.take_labels(runs[0], config.labels)
        told = f"{counted(new, 'label')} taken in, {known:,} known already"
        say(told, console=Console(stderr=True))
    if config.sample:
        _draw(config, runs[0], as_json=as_json)
    if people:
        _serve(config, runs[0], as_json=as_json)
    if config.sample or people:
        return
    found = [calibrating.calibrate(run) for run in runs]
    changed = calibrating.changes(*runs) if len(runs) == 2 else ()
    if as_json:
        print_json({"calibrations": found, "changes": changed} if changed else found[0])
        return
    for one in found:
        title = f"{one.run} · judged by {one.judge}"
        print_sections(calibration_sections(one, title), one.notes)
    if changed:
        title = f"Change from {found[0].run} to {found[1].run}, in points"
        print_table(rates_table(changed), title)
    say(*(f"Files: {run.folder}/ calibration.json, {calibrating.RECORD}" for run in runs))
    folders = " ".join(str(run.folder) for run in runs)
    say(f"Next: vlsbench report {folders}  (a page with the corrected rates)", style="dim")


def _draw(config: CalibrateConfig, run: CalibratedRun, *, as_json: bool) -> None:
    from vlsbench import calibrating

    drawn = calibrating.draw(run, config.sample or 0, seed=config.seed, aim=config.aim)
    out = config.out or run.folder / "labelling"
    path, missing = calibrating.write_tasks(run, drawn.ids, out, config.images_from, config.data)
    if as_json:
        if not config.annotators:  # else the links are what is printed
            print_json({"drawn": drawn, "labels": path, "images_missing": missing})
        return
    pilot = " (the pilot)" if drawn.pilot else ""
    say(f"{counted(len(drawn.ids), 'reply')} to label{pilot}: {path}; for Label Studio tasks.json")
    if missing:
        say(f"{counted(missing, 'image')} not found: give --images-from or --data", style="yellow")
    if not config.annotators:
        again = f"; then --sample {config.sample} again" if drawn.pilot else ""
        way = f"--annotator NAME (in the browser), or --labels {path} once it is filled in{again}"
        say(f"Next: vlsbench calibrate {run.folder} {way}", style="dim")


def _serve(config: CalibrateConfig, run: CalibratedRun, *, as_json: bool) -> None:
    from vlsbench.calibrating import reply_images
    from vlsbench.reviewing import Labelling, invite, serve

    if not run.was_drawn:
        raise VlsbenchError(f"no replies of {run.folder} are drawn: give --sample N too")
    people = invite(config.annotators, config.adjudicators)
    desk = Labelling(run, reply_images(run, run.drawn, config.images_from, config.data))
    serve(desk, people, port=config.port, ready=partial(print_links, as_json=as_json))
    done = desk.status()
    if not as_json:
        say(f"{done.settled:,} of {done.replies:,} replies settled, {done.disputed:,} in dispute")
        say(f"Next: vlsbench calibrate {run.folder}", style="dim")
