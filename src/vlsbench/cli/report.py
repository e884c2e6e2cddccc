"""Put runs and audits on one page, with figures for print."""

from __future__ import annotations

from vlsbench.cli._config import command
from vlsbench.cli._print import print_json, say
from vlsbench.config import values_of
from vlsbench.reporting import ReportConfig
from vlsbench.text import counted


@command(ReportConfig)
def report(config: ReportConfig, *, as_json: bool) -> None:
    """Put runs and audits on one page, with figures for print.

    Summary, categories, leakage cards, calibration, comparison (of views too), gallery, provenance;
    the figures (PNG, SVG, PDF) need the extra `figures`. Stopped runs are shown as such.

    **Examples**

    - `vlsbench report runs/A runs/B -o report`

    - `vlsbench report T-SFT=runs/A T-SFT=runs/B MM-SFT=runs/C MM-SFT=runs/D audits/vlsbench`

    - `vlsbench report runs audits --no-figures`
    """
    from vlsbench.reporting import report

    done = report(**values_of(config))
    if as_json:
        print_json({"page": done.page, "figures": done.figures})
        return
    drawn = f", figures/ with {counted(len(done.figures), 'figure')}" if done.figures else ""
    say(f"Files: {config.out}/ index.html{drawn}")
    say(*done.notes, style="yellow")
    say(f"Next: open {done.page}", style="dim")
