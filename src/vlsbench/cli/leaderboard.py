"""Rank models by their runs of one benchmark."""

from __future__ import annotations

from vlsbench.cli._config import command
from vlsbench.cli._print import print_json, say
from vlsbench.cli._tables import print_table
from vlsbench.comparing import LeaderboardConfig
from vlsbench.pages import SIMULATED


@command(LeaderboardConfig)
def leaderboard(config: LeaderboardConfig, *, as_json: bool) -> None:
    """Rank models by their runs of one benchmark.

    Models are ranked by the net rate where all runs have benign pairs (eval --controls), else by
    the safety rate, corrected where all are calibrated; tied ones share a place. Runs that differ
    in judge, protocol, view, prompt or pairs are refused. Writes leaderboard.html (sortable)
    and .json; `vlsbench audit A B` ranks benchmarks by their leakage.

    **Examples**

    - `vlsbench leaderboard runs/A runs/B runs/C -o leaderboard`

    - `vlsbench leaderboard LLaVA=runs/A Qwen=runs/B`
    """
    from vlsbench.comparing import rank, ranking_table, write_ranking

    ranking = rank(config.runs)
    page, _ = write_ranking(ranking, config.out)
    if as_json:
        print_json(ranking)
        return
    title = f"{ranking.bench} · view {ranking.view} · judged by {ranking.judge}"
    print_table(ranking_table(ranking), title)
    if ranking.simulated:
        say(SIMULATED, style="dim")
    say(*ranking.notes, style="yellow")
    say(f"Files: {config.out}/ leaderboard.html, leaderboard.json")
    say(f"Next: open {page}", style="dim")
