"""Leakage cards and the leaderboard as a browser shows them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from selenium.webdriver import Chrome, Keys
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement

from tests.pages import card_examples as examples
from vlsbench.auditing.card.card import CategoryLeak
from vlsbench.auditing.card.page import write_card
from vlsbench.auditing.card.pairs import Mark

pytestmark = pytest.mark.browser

PWN = "window.pwned = true"
ATTACKS = (
    f"<script>{PWN}</script>",
    f"</script><script>{PWN}</script>",
    f'<img src="x" onerror="{PWN}">',
    f"\"><svg onload='{PWN}'>",
    f'<a href="javascript:{PWN}">crumbs</a>',
    f"</mark></div><iframe srcdoc='<script>parent.{PWN}</script>'></iframe>",
    f"</style></title><body onload='{PWN}'>",
    "{{ 7 * 7 }}{% raw %}",
)
PHONE = 360


def _all(browser: Chrome, css: str) -> list[WebElement]:
    return browser.find_elements(By.CSS_SELECTOR, css)


def _requests(browser: Chrome) -> list[str]:
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    urls = [
        message["params"]["request"]["url"]
        for message in messages
        if message["method"] == "Network.requestWillBeSent"
    ]
    return [url for url in urls if not url.startswith("data:")]


def _blurred(browser: Chrome, number: int) -> bool:
    script = """
        const text = document.querySelectorAll(".card.leak")[arguments[0]].querySelector(".text");
        return getComputedStyle(text).filter.startsWith("blur(");
    """
    return bool(browser.execute_script(script, number))


def test_the_card_loads_itself_and_nothing_else(browser: Chrome, page: Path) -> None:
    write_card(examples.card(), page)
    browser.get(page.as_uri())

    assert _requests(browser) == [page.as_uri()]
    assert browser.get_log("browser") == []
    headings = [heading.text for heading in _all(browser, "h2")]
    assert [heading[:2] for heading in headings[:3]] == ["A.", "B.", "C."]
    assert len(_all(browser, ".assumes")) == 3


def test_telling_words_are_marked_in_the_query(browser: Chrome, page: Path) -> None:
    write_card(examples.card(leaking=(examples.pair(),)), page)
    browser.get(page.as_uri())

    query = _all(browser, ".card.leak .text")[0]
    assert query.text == examples.QUERY
    marked = [(mark.text, mark.get_attribute("title")) for mark in _all(browser, ".text mark")]
    assert marked == [("toddler", "0.40 bits"), ("shiny ", ""), ("toaster", "1.25 bits")]


@pytest.mark.parametrize("scripts", [True, False])
def test_a_text_that_wants_it_is_blurred_until_revealed(
    browser: Chrome, page: Path, scripts: bool
) -> None:
    pairs = (examples.pair(0), examples.pair(1, blurred=True), examples.pair(2, blurred=True))
    write_card(examples.card(leaking=pairs), page)
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": not scripts})
    browser.get(page.as_uri())

    assert [_blurred(browser, n) for n in range(3)] == [False, True, True]
    _all(browser, ".unveil")[0].click()
    assert [_blurred(browser, n) for n in range(3)] == [False, False, True]
    _all(browser, ".unveil input")[1].send_keys(Keys.SPACE)
    assert [_blurred(browser, n) for n in range(3)] == [False, False, False]
    _all(browser, ".unveil")[0].click()
    assert [_blurred(browser, n) for n in range(3)] == [False, True, False]


def test_hostile_text_runs_nowhere_and_is_read_as_text(browser: Chrome, page: Path) -> None:
    pairs = tuple(
        examples.pair(
            n,
            id=attack,
            category=attack,
            subcategory="in " + attack,
            query=attack,
            marks=(Mark(1, 5, True, 1.0), Mark(6, len(attack), False, 0.2)),
            content=attack,
            content_kind=attack,
            said=attack,
        )
        for n, attack in enumerate(ATTACKS)
    )
    card = examples.card(
        bench=ATTACKS[1],
        title=ATTACKS[2],
        licence=ATTACKS[3],
        paper=f"javascript:{PWN}",
        stopped=ATTACKS[0],
        settings={"judge": list(ATTACKS)},
        overlap=examples.overlap(notes=ATTACKS, embedder=ATTACKS[5], contents={ATTACKS[0]: 1}),
        judged=examples.judged(notes=ATTACKS, judge=ATTACKS[6]),
        behaviour=examples.behaviour(notes=ATTACKS, model=ATTACKS[2]),
        categories=tuple(
            CategoryLeak(attack, 9, examples.rate(5, 9), examples.estimate(0.5))
            for attack in ATTACKS
        ),
        leaking=pairs,
    )
    write_card(card, page)
    browser.get(page.as_uri())
    for details in _all(browser, "details"):
        browser.execute_script("arguments[0].open = true", details)

    assert browser.execute_script("return window.pwned") is None
    assert _all(browser, "script, iframe, a[href^=javascript], main img, svg[onload]") == []
    texts = [element.get_property("textContent") for element in _all(browser, ".card.leak .text")]
    assert texts == [attack for attack in ATTACKS for _ in range(3)]
    assert browser.get_log("browser") == []


def test_a_phone_needs_no_sideways_scroll(browser: Chrome, page: Path) -> None:
    metrics = {"width": PHONE, "height": 740, "deviceScaleFactor": 2, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    long = "crumb" * 400
    pairs = (examples.pair(), examples.pair(1, id=long, category=long, query=long, content=long))
    card = examples.card(
        bench=long,
        leaking=pairs,
        categories=(CategoryLeak(long, 50, examples.rate(20, 50), examples.estimate(0.4)),),
        overlap=examples.overlap(notes=(long,), embedder=long),
    )
    write_card(card, page)
    browser.get(page.as_uri())
    for details in _all(browser, "details"):
        browser.execute_script("arguments[0].open = true", details)
    assert browser.execute_script("return document.documentElement.scrollWidth") == PHONE
