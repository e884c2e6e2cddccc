"""The command itself: served in a process of its own, killed, asked and taken up again."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from vlsbench.cli.app import app
from vlsbench.errors import VlsbenchError
from vlsbench.reviewing import Store

BENCH = "lab/leakless?n=4"
SCREENS = (
    ("query", {"query_harmful": "no"}),
    ("image", {"image_harmful": "no"}),
    ("pair", {"matched": "yes", "pair_harmful": "yes", "category_right": "yes"}),
)


def _run(*arguments: str) -> str:
    """Run a command that ends, in this process; returns what it prints."""
    done = CliRunner().invoke(app, ["review", *arguments])
    if done.exception:
        raise done.exception
    return done.stdout


@contextmanager
def _serving(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, str]]]:
    command = [sys.executable, "-m", "vlsbench", "review", BENCH, "--port", "0", "--json"]
    server = subprocess.Popen(
        [*command, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert server.stdout is not None
        line = server.stdout.readline()
        assert line, server.stderr and server.stderr.read()
        yield server, json.loads(line)["links"]
    finally:
        server.kill()
        server.communicate()


class _Reviewer:
    """Someone who follows the pages' own forms."""

    def __init__(self, link: str) -> None:
        self.home = link.partition("/enter/")[0]
        self.client = httpx.Client(base_url=self.home, follow_redirects=True, timeout=60)
        assert self.client.get(link).status_code == 200

    def page(self) -> str:
        page = self.client.get("/review").text
        if 'data-step="query"' in page or "last pair" in page:
            return page
        number = re.findall(r'data-number="(\d+)"', page)[0]
        return self.client.get("/review", params={"reveal": number}).text

    def at(self) -> tuple[str, str] | None:
        found = re.search(r'data-step="(\w+)" data-number="(\d+)"', self.page())
        return (found[1], found[2]) if found else None

    def answer(self, **answers: str) -> None:
        fields = dict(re.findall(r'name="(form|number|step)" value="([^"]*)"', self.page()))
        reply = self.client.post("/answer", data=fields | answers, headers={"origin": self.home})
        assert reply.status_code == 200, reply.text


@pytest.mark.long
def test_kill_loses_no_answer(tmp_path: Path) -> None:
    out = tmp_path / "review"
    given = 0
    for stop in (1, 4, 5):
        with _serving("--reviewer", "ann", "--out", str(out)) as (server, links):
            ann = _Reviewer(links["ann"])
            for _ in range(stop):
                step, answers = SCREENS[given % 3]
                assert ann.at() == (step, str(given // 3))
                ann.answer(**answers)
                given += 1
            os.kill(server.pid, signal.SIGKILL)
            server.wait(timeout=60)
    found = json.loads(_run("status", BENCH, "--review", str(out), "--json"))
    assert found["people"] == [{"name": "ann", "role": "reviewer", "done": 3, "total": 4}]
    assert (found["keep"], found["open"]) == (3, 1)
    with Store.read(out) as store:
        assert [row.step for row in store.rows()] == ["query", "image", "pair"] * 3 + ["query"]


@pytest.mark.long
def test_it_listens_on_this_machine_only_and_ends_well(tmp_path: Path) -> None:
    with _serving("--out", str(tmp_path / "r")) as (server, links):
        assert set(links) == {"reviewer", "organiser"}
        address = re.match(r"http://127\.0\.0\.1:(\d+)/", links["reviewer"])
        assert address
        port = f"{int(address[1]):04X}"
        for table in filter(Path.exists, (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))):
            local = [line.split()[1] for line in table.read_text().splitlines()]
            on = {address.split(":")[0] for address in local if address.endswith(f":{port}")}
            assert on == ({"0100007F"} if table.name == "tcp" else set())
        server.send_signal(signal.SIGINT)
        assert server.wait(timeout=60) == 0
        assert server.stderr is not None
        assert links["reviewer"].rpartition("/")[2] not in server.stderr.read()


@pytest.mark.long
def test_a_taken_port_says_so(tmp_path: Path) -> None:
    with _serving("--out", str(tmp_path / "r")) as (_, links):
        port = re.findall(r":(\d+)/", links["reviewer"])[0]
        with pytest.raises(VlsbenchError, match=f"port {port}"):
            _run(BENCH, "--out", str(tmp_path / "other"), "--port", port)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("status", BENCH), "no review found"),
        (("export", BENCH), "no review found"),
        (("lab/nothing",), "no variant"),
        ((BENCH, "--reviewer", "ann", "--adjudicator", "ann"), "ann is given twice"),
        (("import", BENCH, "--label-studio", "none.json"), "none.json"),
    ],
)
def test_mistakes_say_what_to_mend(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(VlsbenchError, match=says):
        _run(*arguments)


def test_from_tasks_to_lists_without_the_pages(tmp_path: Path) -> None:
    review, tasks = ("--review", str(tmp_path / "r")), tmp_path / "tasks.json"
    assert "label-studio.xml" in _run("export", BENCH, "--label-studio", str(tasks), *review)
    answers = [answer for _, some in SCREENS for answer in some.items()]
    done: list[dict[str, Any]] = json.loads(tasks.read_text("utf-8"))
    for number, task in enumerate(done):
        task["annotations"] = [
            {
                "completed_by": person,
                "updated_at": "2026-03-09T22:16:08Z",
                "result": [
                    {"from_name": name, "value": {"choices": ["no" if number == 1 else said]}}
                    for name, said in answers
                ],
            }
            for person in (1, 2)
        ]
    tasks.write_text(json.dumps(done), "utf-8")
    found = json.loads(_run("import", BENCH, "--label-studio", str(tasks), *review, "--json"))
    assert found == {"verdicts": 8}
    out = str(tmp_path / "verdicts.csv")
    exported = json.loads(_run("export", BENCH, "--out", out, *review, "--json"))
    assert (exported["keep"], exported["drop"]) == (3, 1)
    shown = _run("status", BENCH, *review)
    assert "3 keep, 1 drop, 0 not decided" in " ".join(shown.split())
