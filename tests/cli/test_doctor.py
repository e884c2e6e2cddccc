"""`vlsbench doctor`: what it finds out about this machine and about a model on a real server."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from tests.cli.typed import Command
from tests.scripted import Asked, Said, completion, refuse, scripted


@pytest.fixture(autouse=True)
def no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "VLSBENCH_API_KEY"):
        monkeypatch.delenv(name, raising=False)


def capable(asked: Asked) -> Said:
    """Answer like a model that can do all that is asked of it."""
    if "response_format" in asked.body:
        return Said(completion('{"hot": true}'))
    return Said(completion("Red." if "colour" in asked.text else "Yes."))


def blind(asked: Asked) -> Said:
    """Answer like an old text model: no image, no schema, no token counts."""
    if isinstance(asked.body["messages"][-1]["content"], list):
        return refuse(400, "this model does not support image input")
    if "response_format" in asked.body:
        return Said(completion("Certainly! It is hot.", usage=None))
    return Said(completion("Yes.", usage=None))


def states(vlsbench: Command, *models: str) -> tuple[int, dict[str, str]]:
    done = vlsbench("doctor", *models, "--json")
    found = json.loads(done.stdout)
    last = found[models[-1] if models else "here"]
    return done.returncode, {one["what"]: one["state"] for one in last}


def test_a_capable_model_has_nothing_to_mend(vlsbench: Command) -> None:
    with scripted(capable) as server:
        code, found = states(vlsbench, f"m@{server.url}")
    assert code == 0
    assert found == {
        "answers": "ok",
        "parameters": "ok",
        "usage": "lacks",  # nobody knows what a model called m costs
        "images": "ok",
        "schema": "ok",
        "clock": "ok",
    }
    assert len(server.asked) == 3


def test_what_a_model_cannot_do_is_named_with_a_remedy(vlsbench: Command) -> None:
    with scripted(blind) as server:
        model = f"m@{server.url}"
        code, found = states(vlsbench, model)
        said = vlsbench("doctor", model).stdout
    assert code == 1
    assert (found["images"], found["schema"], found["usage"]) == ("fails", "lacks", "lacks")
    assert "--view text" in said


def test_parameters_that_are_refused_are_told(vlsbench: Command) -> None:
    def picky(asked: Asked) -> Said:
        if "temperature" in asked.body:
            return refuse(400, "Unsupported parameter: 'temperature'")
        return capable(asked)

    with scripted(picky) as server:
        done = vlsbench("doctor", f"m@{server.url}")
    assert done.returncode == 0
    assert "temperature is left out" in done.stdout


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("m@http://127.0.0.1:1/v1", "is the server running?"),
        ("openai/gpt-4o", "set OPENAI_API_KEY"),
        ("nosuch", "unknown model"),
    ],
)
def test_a_model_that_cannot_be_asked_is_one_line(vlsbench: Command, model: str, said: str) -> None:
    done = vlsbench("doctor", model)
    assert done.returncode == 1
    assert said in " ".join(done.stdout.split())


def test_a_broken_key_fails_and_is_not_shown(
    vlsbench: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-half\nother-half")
    done = vlsbench("doctor")
    assert done.returncode == 1
    assert "half" not in done.stdout


@pytest.mark.parametrize(("hours", "said"), [(-2, "ahead of the server"), (2, "behind the server")])
def test_a_wrong_clock_is_told(vlsbench: Command, hours: int, said: str) -> None:
    told = format_datetime(datetime.now(UTC) + timedelta(hours=hours))

    def elsewhere(asked: Asked) -> Said:
        return replace(capable(asked), headers={"Date": told})

    with scripted(elsewhere) as server:
        done = vlsbench("doctor", f"m@{server.url}")
    assert done.returncode == 0
    assert said in " ".join(done.stdout.split())


def test_a_full_disk_fails(vlsbench: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    full = shutil.disk_usage(".")._replace(free=10_000_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: full)
    code, found = states(vlsbench)
    assert code == 1
    assert (found["disk, here"], found["disk, cache"]) == ("fails", "fails")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: full._replace(free=10**9))
    code, found = states(vlsbench)
    assert (code, found["disk, here"]) == (0, "lacks")


def test_of_this_machine_extras_and_room_are_told(vlsbench: Command) -> None:
    code, found = states(vlsbench)
    assert code == 0
    assert {"Python", "extra align", "extra audit", "disk, here", "OPENAI_API_KEY"} <= {*found}
