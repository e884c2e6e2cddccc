"""A whole review in Chromium, by keyboard, against the real server."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn
from selenium.webdriver import ActionChains, Chrome, Keys
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

import vlsbench
from tests.grouped import grouped
from tests.reviewing.review_examples import GOOD, NO, YES, begin, pair, say
from vlsbench.calibrating import CalibratedRun, draw, reply_images
from vlsbench.reviewing import Labelling, Person, Question, Review, Store, invite, open_review
from vlsbench.reviewing.app import make_app

pytestmark = pytest.mark.browser


class _Desk:
    """A browser at a served review."""

    def __init__(self, chrome: Chrome, address: str, people: tuple[Person, ...]) -> None:
        self.chrome = chrome
        self.address = address
        self.people = {person.name: person for person in people}

    def enter(self, name: str, path: str = "/review") -> None:
        self.chrome.get(f"{self.address}/enter/{self.people[name].link}")
        self.chrome.get(self.address + path)

    def at(self) -> tuple[str | None, str | None]:
        step, number = self.chrome.execute_script(
            "const { step, number } = document.getElementById('screen').dataset;"
            "return [step ?? null, number ?? null];"
        )
        return step, number

    def press(self, *keys: str) -> None:
        ActionChains(self.chrome).send_keys(*keys).perform()

    def until(self, step: str | None, number: int | None = None) -> None:
        """Wait for a screen."""
        wanted = (step, None if number is None else str(number))
        wait = WebDriverWait(self.chrome, 20, poll_frequency=0.02, ignored_exceptions=[Exception])
        wait.until(lambda _: self.at() == wanted, f"{wanted} did not come")

    def reveal(self) -> None:
        self.press("r")
        wait = WebDriverWait(self.chrome, 20, poll_frequency=0.02, ignored_exceptions=[Exception])
        wait.until(lambda chrome: chrome.find_element(By.CSS_SELECTOR, ".frame:not(.veiled) img"))

    def text(self) -> str:
        return self.chrome.find_element(By.TAG_NAME, "body").text

    def requested(self) -> list[str]:
        entries = [json.loads(e["message"])["message"] for e in self.chrome.get_log("performance")]
        urls = [
            entry["params"]["request"]["url"]
            for entry in entries
            if entry["method"] == "Network.requestWillBeSent"
        ]
        return [url for url in urls if not url.startswith(("data:", "chrome:"))]


@pytest.fixture
def serve(browser: Chrome) -> Iterator[object]:
    """Serve a review, in a thread, to a browser with no cookies."""
    browser.get("about:blank")
    browser.execute_cdp_cmd("Network.clearBrowserCookies", {})
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    browser.get_log("browser")
    browser.get_log("performance")
    running: list[tuple[uvicorn.Server, threading.Thread]] = []

    def start(review: Review) -> _Desk:
        listener = socket.create_server(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        people = invite(["ann", "ben"], ["cleo"])
        app = make_app(review, people, port)
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", access_log=False))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        running.append((server, thread))
        return _Desk(browser, f"http://127.0.0.1:{port}", people)

    yield start
    browser.get("about:blank")
    for server, thread in running:
        server.should_exit = True
        thread.join(20)


def test_a_whole_review_by_keyboard(serve: type[_Desk], tmp_path: Path) -> None:
    folder = tmp_path / "review"
    store = Store.write(folder)
    review = open_review(vlsbench.load("lab/leakless?n=3"), store)
    for _ in range(3):
        say(review, "ben")
    desk = serve(review)  # type: ignore[call-arg,arg-type]

    desk.enter("ann", "/")
    assert "Take breaks" in desk.text()
    desk.enter("ann")
    desk.until("query", 0)
    desk.press("y")
    desk.until("image", 0)
    assert not any("/image/" in url for url in desk.requested())
    desk.press("y")  # nothing is asked before the image was revealed
    desk.press("z")
    desk.until("query", 0)
    desk.press("n")
    desk.until("image", 0)
    desk.reveal()
    assert any("/image/" in url for url in desk.requested())
    desk.press("r")
    image = desk.chrome.find_element(By.CSS_SELECTOR, ".frame img")
    assert image.value_of_css_property("visibility") == "hidden"
    desk.press("r")
    assert image.value_of_css_property("visibility") == "visible"
    desk.press("n")
    desk.until("pair", 0)
    desk.press("y", "y")
    desk.press(Keys.ENTER)  # one question is open: the browser asks for it
    desk.press("y", "4", "c")
    desk.press("yes, no: toast", Keys.ESCAPE, Keys.ENTER)
    desk.until("query", 1)

    desk.press("n")
    desk.until("image", 1)
    desk.reveal()
    desk.press("x")
    desk.until("pair", 1)
    desk.press("y", "n", "y", Keys.ENTER)
    desk.until("query", 2)
    desk.press("z")
    desk.until("pair", 1)
    assert desk.chrome.find_elements(By.CSS_SELECTOR, ".frame.veiled")
    desk.reveal()
    desk.press("n", "y", "y", Keys.ENTER)
    desk.until("query", 2)

    desk.press("n")
    desk.until("image", 2)
    desk.press("p")
    desk.until("pair", 2)
    desk.press("p")
    desk.until(None)
    assert "last pair" in desk.text()

    ids = [p.id for p in review.pairs]
    said = {v.pair: v for v in review.current()[0] if v.person == "ann"}
    assert said[ids[0]].answers == GOOD
    assert said[ids[0]].codes == ("unclear_query",)
    assert said[ids[0]].comment == "yes, no: toast"
    assert said[ids[1]].answers[Question.MATCHED] is NO
    assert said[ids[1]].answers[Question.PAIR_HARMFUL] is YES
    assert {*said[ids[2]].answers.values()} == {"no", "unsure"}
    rows = store.rows("ann")
    assert sum(row.step == "undo" for row in rows) == 2
    assert len(rows) == 9 + 2 + 2

    desk.enter("organiser", "/overview")
    figures = desk.text()
    assert "3 of 3" in figures
    matched = next(one for one in review.status().agreement if one.question == "matched")
    assert (matched.n, matched.agreement) == (2, 0.5)
    row = next(line for line in figures.splitlines() if line.startswith("Query and image match"))
    assert row.split()[-3:] == ["50", "%", "2"]
    assert f"{matched.alpha:.2f}" in row

    desk.enter("cleo")
    desk.until("adjudication", 1)
    desk.reveal()
    desk.press("n", Keys.ENTER)
    desk.until("adjudication", 2)
    assert review.status().drop == 1
    assert desk.chrome.get_log("browser") == []
    assert all(url.startswith(desk.address + "/") for url in desk.requested())
    store.close()


def test_hostile_text_runs_nowhere(serve: type[_Desk], tmp_path: Path) -> None:
    attack = (
        '</blockquote></main><script>window.pwned = 1</script><img src=x onerror="window.pwned=1">'
        '<div hx-get="/undo" hx-trigger="load"></div>\u202e'
    )
    review = begin(tmp_path, [pair(0, query=attack, category=attack, subcategory=attack)])
    say(review, "ben", {**GOOD, Question.MATCHED: NO}, comment=attack)
    desk = serve(review)  # type: ignore[call-arg,arg-type]
    desk.enter("ann")
    quote = desk.chrome.find_element(By.CSS_SELECTOR, ".query blockquote")
    assert quote.get_property("textContent") == attack
    desk.press("n")
    desk.until("image", 0)
    desk.reveal()
    desk.press("n")
    desk.until("pair", 0)
    desk.press("y", "y", "y", Keys.ENTER)
    desk.until(None)
    desk.enter("cleo")
    desk.reveal()
    assert desk.chrome.execute_script("return window.pwned") is None
    assert desk.chrome.get_log("browser") == []
    assert len(desk.chrome.find_elements(By.CSS_SELECTOR, "td.text")) == 2


def test_a_phone_needs_no_sideways_scroll(serve: type[_Desk], tmp_path: Path) -> None:
    long = "crumb" * 80
    review = begin(tmp_path, [pair(0, query=long * 3, category=long, subcategory=long), pair(1)])
    say(review, "ben", {**GOOD, Question.MATCHED: NO}, codes=("bad_image",), comment=long)
    desk = serve(review)  # type: ignore[call-arg,arg-type]
    metrics = {"width": 400, "height": 800, "deviceScaleFactor": 2, "mobile": True}
    desk.chrome.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)

    def width() -> int:
        return int(desk.chrome.execute_script("return document.documentElement.scrollWidth"))

    desk.enter("ann", "/")
    assert width() == 400
    desk.enter("ann")
    assert width() == 400
    for button in desk.chrome.find_elements(By.CSS_SELECTOR, ".answers button"):
        assert button.size["height"] >= 44
    desk.press("n")
    desk.until("image", 0)
    assert width() == 400
    desk.reveal()
    desk.press("n")
    desk.until("pair", 0)
    desk.press("y", "y", "y", "1", "c")
    assert width() == 400
    desk.press(Keys.ESCAPE, Keys.ENTER)
    desk.until("query", 1)
    desk.enter("cleo")
    desk.reveal()
    assert width() == 400
    desk.enter("organiser", "/overview")
    assert width() == 400


def test_what_could_not_be_saved_is_said(serve: type[_Desk], tmp_path: Path) -> None:
    review = begin(tmp_path)
    desk = serve(review)  # type: ignore[call-arg,arg-type]
    desk.enter("ann")
    desk.chrome.execute_cdp_cmd("Network.clearBrowserCookies", {})
    desk.press("n")
    problem = desk.chrome.find_element(By.ID, "problem")
    WebDriverWait(desk.chrome, 20).until(lambda _: problem.is_displayed())
    assert "Not saved. Open the link" in problem.text
    assert desk.at() == ("query", "0")
    assert review.current()[0] == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_both_colour_schemes_can_be_read(serve: type[_Desk], tmp_path: Path, scheme: str) -> None:
    review = begin(tmp_path)
    desk = serve(review)  # type: ignore[call-arg,arg-type]
    feature = {"name": "prefers-color-scheme", "value": scheme}
    desk.chrome.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})

    def luminance(css: str, what: str) -> float:
        script = "return getComputedStyle(document.querySelector(arguments[0]))[arguments[1]]"
        colour = str(desk.chrome.execute_script(script, css, what))
        parts = [int(part) / 255 for part in colour[colour.index("(") + 1 : -1].split(",")[:3]]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    def contrast(css: str, behind: str) -> float:
        low, high = sorted((luminance(css, "color"), luminance(behind, "backgroundColor")))
        return (high + 0.05) / (low + 0.05)

    desk.enter("ann", "/")
    assert (luminance("body", "backgroundColor") < 0.05) is (scheme == "dark")
    for css, behind in (
        (".warning p", ".warning"),
        (".muted", "body"),
        (".primary", ".primary"),
    ):
        assert contrast(css, behind) >= 4.5, f"{css} is too faint"
    desk.enter("ann")
    for css, behind in (
        ("blockquote", ".card"),
        (".ask .muted", ".card"),
        (".answers button", ".answers button"),
        (".quiet", "body"),
        (".dots i:not(.here)", "body"),
        (".dots .here", ".dots .here"),
    ):
        assert contrast(css, behind) >= 4.5, f"{css} is too faint"
    desk.chrome.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def test_replies_are_labelled_by_keyboard(serve: type[_Desk], tmp_path: Path) -> None:
    options = grouped(out=tmp_path / "run", progress=False, gallery=0)
    vlsbench.evaluate("lab/leakless?n=3", model="lab/careful", judge="lab", **options)
    run = CalibratedRun(tmp_path / "run")
    draw(run, 3)
    desk = serve(Labelling(run, reply_images(run, run.drawn, (), None)))  # type: ignore[call-arg,arg-type]

    desk.enter("ann")
    desk.until("label", 0)
    assert "Definitions" in desk.text()
    assert not any("/image/" in url for url in desk.requested())
    desk.reveal()
    desk.press("2")
    desk.until("label", 1)
    assert desk.chrome.find_elements(By.CSS_SELECTOR, ".frame.veiled")
    desk.press("z")
    desk.until("label", 0)
    desk.press("1")
    desk.until("label", 1)
    assert [one.label for one in CalibratedRun(run.folder).given()] == ["refusal"]
    assert desk.chrome.get_log("browser") == []
