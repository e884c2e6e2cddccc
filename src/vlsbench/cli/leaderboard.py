"""`vlsbench leaderboard`: models by their safety, or benchmarks by their leakage."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vlsbench.cli._config import command
from vlsbench.cli._print import print_json, say
from vlsbench.cli._tables import print_board, print_leaderboard
from vlsbench.comparing import LeaderboardConfig
from vlsbench.errors import VlsbenchError

if TYPE_CHECKING:
    from vlsbench.comparing import Ranking


def _leaderboard(config: LeaderboardConfig, *, as_json: bool) -> None:
    """Rank models by their runs of one benchmark, or benchmarks by their audits.

    Models are ranked by the net rate where all runs have benign pairs (eval --controls), else by
    the safety rate, corrected where all are calibrated; tied ones share a place. Runs that differ
    in judge, protocol, view, prompt or pairs are refused. Writes leaderboard.html (sortable),
    .csv and .json.

    **Examples**

    - `vlsbench leaderboard runs/A runs/B runs/C -o leaderboard`

    - `vlsbench leaderboard LLaVA=runs/A Qwen=runs/B`

    - `vlsbench leaderboard audits/vlsbench audits/figstep -o leakage`

    Exit codes: 0 done, 1 something must be changed, 2 wrong usage.
    """
    from vlsbench.auditing import CARD_JSON, Audit, rank_audits, read_card
    from vlsbench.comparing import rank, split_name, write_ranking

    folders = [split_name(text)[1] for text in config.runs]
    audits = [folder for folder in folders if (folder / CARD_JSON).is_file()]
    if others := [folder for folder in folders if audits and folder not in audits]:
        raise VlsbenchError(
            f"{audits[0]} is an audit and {others[0]} is not: give runs, to rank models, or "
            "audits, to rank benchmarks by their leakage"
        )
    if audits:
        table = rank_audits([Audit(one, read_card(one / CARD_JSON)) for one in audits], config.out)
        print_json(table) if as_json else print_leaderboard(table, config.out)
        return
    ranking = rank(config.runs, allow_unfinished=config.allow_unfinished)
    files = write_ranking(ranking, config.out)
    if as_json:
        print_json(ranking)
        return
    _show(ranking)
    say(f"Files: {config.out}/ {', '.join(file.name for file in files)}")
    say(f"Next: open {files[0]}", style="dim")


leaderboard = command(LeaderboardConfig, _leaderboard, quiet=False)


def _show(ranking: Ranking) -> None:
    from vlsbench.comparing import details, ranking_cells

    title = f"{ranking.bench} · view {ranking.view} · judged by {ranking.judge}"
    rows = [row.name + " †" * row.simulated for row in ranking.rows]
    print_board(title, rows, *ranking_cells(ranking))
    say("Percent with 95 % intervals clustered by image; tied rows share a place.", style="dim")
    say(*(f"{row.name}: {'; '.join(details(row))}" for row in ranking.rows))
    if ranking.simulated:
        say("† simulated: a lab model or benchmark; says nothing about a real model", style="dim")
    say(*ranking.notes, style="yellow")
