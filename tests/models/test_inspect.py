"""Inspect's providers as models, asked over real HTTP."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import vlsbench
from vlsbench import lab
from vlsbench.config import Budget, Connection
from vlsbench.errors import MissingExtra, VlsbenchError
from vlsbench.evaluation import Output
from vlsbench.models import Connections, FatalCall

pytest.importorskip("inspect_ai", reason="needs the extra [inspect]")
SPEC = "inspect/openai-api/lab"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    with lab.running() as url:
        monkeypatch.setenv("LAB_BASE_URL", url)
        monkeypatch.setenv("LAB_API_KEY", "none")
        yield url


@pytest.mark.long
def test_a_provider_answers_and_judges_with_pictures(tmp_path: Path, server: str) -> None:
    done = vlsbench.evaluate(
        "lab/leakless?n=10",
        model=f"{SPEC}/careful",
        judge=f"{SPEC}/judge",
        connection=Connection(no_probe=True),
        output=Output(out=tmp_path / "r", progress=False, gallery=0),
    )
    (group,) = done.summary.groups
    assert group.safety.rate == 1.0
    assert done.summary.simulated
    assert lab.stats(server)["by_model"] == {"careful": 10, "judge": 10}
    assert done.summary.spend[0].input_tokens > 0


@pytest.mark.long
def test_the_answers_of_one_server_are_not_taken_for_anothers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAB_API_KEY", "none")
    for helpful, safe in (("careful", 1.0), ("helpful", 0.0)):
        with lab.running(names={"m": helpful}) as url:
            monkeypatch.setenv("LAB_BASE_URL", url)
            done = vlsbench.evaluate(
                "lab/leakless?n=4",
                model=f"{SPEC}/m",
                judge="lab",
                output=Output(out=tmp_path / helpful, progress=False, gallery=0),
            )
        assert done.summary.groups[0].safety.rate == safe
    monkeypatch.setenv("LAB_BASE_URL", "http://me:hunter2@localhost/v1")
    with pytest.raises(VlsbenchError, match="LAB_BASE_URL: no key or password"):
        Connections().open(f"{SPEC}/m")


@pytest.mark.long
def test_inspects_batches_are_used_and_priced_by_half(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # Names of models that Inspect asks at the endpoint which the lab serves.
    names = {"gpt-4o": "careful", "gpt-4o-mini": "judge"}
    with lab.running(batch_s=0.1, names=names) as url:
        monkeypatch.setenv("OPENAI_BASE_URL", url)
        monkeypatch.setenv("OPENAI_API_KEY", "none")
        done = vlsbench.evaluate(
            "lab/leakless?n=10",
            model="inspect/openai/gpt-4o",
            judge="inspect/openai/gpt-4o-mini",
            budget=Budget(price="1,2"),
            connection=Connection(batch=True, batch_poll_s=0.6),
            output=Output(out=tmp_path / "r", progress=False, gallery=0),
        )
        counts = lab.stats(url)
    (group,) = done.summary.groups
    assert group.safety.rate == 1.0
    assert (counts["batches"], counts["batched"], counts["requests"]) == (2, 20, 2)
    target = done.summary.spend[0]
    whole = target.input_tokens + 2 * target.output_tokens
    assert target.cost == pytest.approx(whole / 1e6 / 2)
    assert target.latency_p50_s is None
    assert capsys.readouterr().out == ""


def test_a_server_that_only_bears_a_providers_name_has_no_batches(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for variable in ("TOGETHER_API_KEY", "OPENAI_API_KEY"):
        monkeypatch.setenv(variable, "none")
    monkeypatch.setenv("TOGETHER_BASE_URL", "http://127.0.0.1:9/v1")
    opened = Connections(Connection(batch=True))
    assert getattr(opened.open("inspect/openai/m"), "batching", None)
    assert not getattr(opened.open("inspect/openai-api/together/m"), "batching", None)


def test_an_unknown_model_ends_the_run(tmp_path: Path, server: str) -> None:
    with pytest.raises(FatalCall, match="nobody"):
        vlsbench.evaluate(
            "lab/leakless?n=10",
            model=f"{SPEC}/nobody",
            judge="offline",
            output=Output(out=tmp_path / "r", progress=False),
        )


def test_an_unknown_provider_is_one_line() -> None:
    with pytest.raises(FatalCall, match="inspect/nowhere/x"):
        Connections().open("inspect/nowhere/x")


def test_the_extra_is_named_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "inspect_ai.model", None)
    with pytest.raises(MissingExtra, match=r"vlsbench\[inspect\]"):
        Connections().open("inspect/openai/gpt-4o")


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("inspect/anthropic/toaster", "Install with: pip install anthropic"),
        ("inspect/openai/toaster", "No OPENAI_API_KEY, "),
    ],
)
def test_the_whole_remedy_of_a_provider_stands_on_one_line(
    monkeypatch: pytest.MonkeyPatch, spec: str, said: str
) -> None:
    monkeypatch.setitem(sys.modules, "anthropic", None)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(FatalCall) as caught:
        Connections().open(spec)
    text = str(caught.value)
    assert text.startswith(f"model {spec}: ")
    assert said in text
    assert "[bold]" not in text
    assert "\n" not in text
