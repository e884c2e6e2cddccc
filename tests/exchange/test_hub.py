"""Results as the Hugging Face Hub reads them."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from huggingface_hub.repocard_data import model_index_to_eval_results

from tests.evaluation.runs import run
from vlsbench.errors import VlsbenchError
from vlsbench.exchange import write_hub_results
from vlsbench.pairs import Pair, PairSet, find_source


def kitchen() -> PairSet:
    """Pairs of ours under the name of a set that the Hub has."""
    pairs = [Pair(id=str(n), query="Is it hot?", harmful=n < 3) for n in range(5)]
    return PairSet("vlguard", lambda: pairs, source=find_source("vlguard")[0])


def test_the_rates_of_runs_are_written_with_all_that_they_depend_on(tmp_path: Path) -> None:
    first = run(kitchen(), tmp_path / "a", model="lab/blind", judge="offline", view="text")
    other = run("lab/leakless?n=6", tmp_path / "b", model="lab/blind", judge="lab")
    file = write_hub_results([first.folder, other.folder], tmp_path / "hub", model="me/blind")
    assert file == tmp_path / "hub" / "model-index.yaml"
    (card,) = yaml.safe_load(file.read_text())["model-index"]
    name, results = model_index_to_eval_results([card])
    home = find_source("vlguard")[0].home
    assert home
    assert name == "me/blind"
    assert {(one.dataset_type, one.metric_type) for one in results} == {
        *((home.hub, task) for task in ("safety", "over_refusal", "net")),
        ("lab_leakless_n_6", "safety"),
    }
    (found,) = [r for r in results if (r.dataset_type, r.metric_type) == (home.hub, "safety")]
    rate = first.summary.groups[0].safety
    assert rate.rate is not None
    assert found.metric_value == round(100 * rate.rate, 2)
    assert found.metric_args
    assert found.dataset_args
    assert found.metric_args["n"] == 3
    assert found.metric_args["unscored or filtered"] == 0
    assert "ncalibrated judge" in found.metric_args["calibration"]
    assert found.dataset_args["judge"] == "offline"
    assert found.dataset_args["simulated"]


def test_runs_of_several_models_are_refused(tmp_path: Path) -> None:
    runs = [
        run("lab/leakless?n=6", tmp_path / name, model=f"lab/{name}", judge="lab").folder
        for name in ("blind", "careful")
    ]
    with pytest.raises(VlsbenchError, match="one model are wanted, not of lab/blind, lab/careful"):
        write_hub_results(runs, tmp_path / "hub")
