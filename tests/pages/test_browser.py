from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver import ActionChains, Chrome, Keys
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import Select

from tests.pages import report_examples as examples
from vlsbench.errors import BadRow
from vlsbench.evaluation import PairRow
from vlsbench.judge import Label

pytestmark = pytest.mark.browser

PWN = "window.pwned = true"
ATTACKS = (
    f"<script>{PWN}</script>",
    f"</script><script>{PWN}</script>",
    f'<img src="x" onerror="{PWN}">',
    f"\"><svg onload='{PWN}'>",
    f'<a href="javascript:{PWN}">crumbs</a>',
    f"<iframe srcdoc='<script>parent.{PWN}</script>'></iframe>",
    f"</style></title><body onload='{PWN}'>",
    "{{ 7 * 7 }}{% raw %}",
)
PHONE = 360


def _open(browser: Chrome, page: Path, rows: list[PairRow], **changes: Any) -> None:
    examples.report(rows, page, **changes)
    browser.get(page.as_uri())


def _all(browser: Chrome, css: str) -> list[WebElement]:
    return browser.find_elements(By.CSS_SELECTOR, css)


def _shown(browser: Chrome) -> list[str]:
    return [
        card.find_element(By.TAG_NAME, "h3").text for card in _all(browser, ".card:not([hidden])")
    ]


def _blur(browser: Chrome, number: int) -> str:
    """The picture's filter once the change of it is over."""
    script = """
        const image = document.querySelectorAll(".reveal img")[arguments[0]];
        for (const animation of image.getAnimations()) animation.finish();
        return getComputedStyle(image).filter;
    """
    return str(browser.execute_script(script, number))


def _press(browser: Chrome, *keys: str) -> None:
    ActionChains(browser).send_keys(*keys).perform()


def _requests(browser: Chrome) -> list[str]:
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    urls = [
        message["params"]["request"]["url"]
        for message in messages
        if message["method"] == "Network.requestWillBeSent"
    ]
    return [url for url in urls if not url.startswith("data:")]


def test_the_page_loads_itself_and_nothing_else(browser: Chrome, page: Path) -> None:
    _open(browser, page, examples.rows(60), published=examples.PUBLISHED)

    assert _requests(browser) == [page.as_uri()]
    assert browser.get_log("browser") == []
    assert browser.execute_script("return document.querySelector('img').naturalWidth") > 0


def test_hostile_text_runs_nowhere_and_is_read_as_text(browser: Chrome, page: Path) -> None:
    rows = [
        examples.row(
            n, reply=attack, query=attack, shown_text="other " + attack, explanation=attack
        )
        for n, attack in enumerate(ATTACKS)
    ]
    rows += [
        examples.row(
            100 + n, id=attack, category=attack, subcategory="in " + attack, image_refs=[attack]
        )
        for n, attack in enumerate(ATTACKS)
    ]
    _open(
        browser,
        page,
        rows,
        notes=ATTACKS,
        model=ATTACKS[1],
        paper=f"javascript:{PWN}",
        identity={"attack": list(ATTACKS)},
    )
    for details in _all(browser, "details"):
        browser.execute_script("arguments[0].open = true", details)
    for attack in ATTACKS:
        Select(browser.find_element(By.ID, "category")).select_by_visible_text(attack)

    assert browser.execute_script("return window.pwned") is None
    assert _all(browser, "iframe, a[href^=javascript], .card script, .card svg[onload]") == []
    texts = [element.get_property("textContent") for element in _all(browser, ".words .text")]
    assert {*ATTACKS} <= {*texts}
    assert browser.get_log("browser") == []


def test_the_policy_stops_script_even_where_escaping_would_fail(
    browser: Chrome, page: Path
) -> None:
    _open(browser, page, [examples.row()])
    for attack in ATTACKS:
        browser.execute_script(
            "document.body.insertAdjacentHTML('beforeend', arguments[0])", attack
        )
    browser.execute_script("""
        const script = document.createElement("script");
        script.textContent = "window.pwned = true";
        document.body.append(script);
    """)
    for link in _all(browser, "a[href^=javascript]"):
        link.click()

    assert browser.execute_script("return window.pwned") is None
    assert any(
        "Content Security Policy" in entry["message"] for entry in browser.get_log("browser")
    )


def test_a_click_reveals_one_picture_and_a_second_hides_it(browser: Chrome, page: Path) -> None:
    _open(browser, page, [examples.row(n) for n in range(3)])
    button = _all(browser, ".reveal")[1]

    assert [_blur(browser, n).startswith("blur(") for n in range(3)] == [True, True, True]
    button.click()
    assert [_blur(browser, n) == "none" for n in range(3)] == [False, True, False]
    assert button.get_attribute("aria-pressed") == "true"
    button.click()
    assert _blur(browser, 1).startswith("blur(")
    assert button.get_attribute("aria-pressed") == "false"


@pytest.mark.parametrize("key", [Keys.ENTER, Keys.SPACE])
def test_the_button_can_be_pressed_from_the_keyboard(browser: Chrome, page: Path, key: str) -> None:
    _open(browser, page, [examples.row()])
    browser.execute_script("document.querySelector('.reveal').focus()")

    _press(browser, key)
    assert _blur(browser, 0) == "none"
    _press(browser, key)
    assert _blur(browser, 0).startswith("blur(")


@pytest.mark.parametrize("key", [Keys.ENTER, Keys.SPACE])
def test_keys_walk_the_cards_and_reveal(browser: Chrome, page: Path, key: str) -> None:
    _open(browser, page, [examples.row(n) for n in range(3)])

    def here() -> str:
        return browser.switch_to.active_element.find_element(By.TAG_NAME, "h3").text

    _press(browser, "j")
    assert here() == "0"
    _press(browser, "j", "j", "j")
    assert here() == "2"
    _press(browser, "k")
    assert here() == "1"
    _press(browser, key)
    assert [_blur(browser, n) == "none" for n in range(3)] == [False, True, False]


def test_space_after_a_click_on_the_text_reveals_nothing(browser: Chrome, page: Path) -> None:
    _open(browser, page, [examples.row()])
    _all(browser, ".card .text")[0].click()
    _press(browser, Keys.SPACE)

    assert _blur(browser, 0).startswith("blur(")


def test_slash_goes_to_the_search_and_typing_there_moves_nothing(
    browser: Chrome, page: Path
) -> None:
    rows = [examples.row(0, reply="A jolly jug"), examples.row(1, explanation="Saw the KETTLE")]
    _open(browser, page, rows)

    _press(browser, "/", "kettle")

    assert browser.switch_to.active_element.get_attribute("value") == "kettle"
    assert _shown(browser) == ["1"]
    assert browser.find_element(By.ID, "count").text == "1 of 2"
    _press(browser, Keys.ESCAPE, "j")
    assert browser.switch_to.active_element.get_attribute("class") == "card"


def test_filters_hold_together(browser: Chrome, page: Path) -> None:
    rows = [
        examples.row(0, category="Kitchen", label=Label.UNSAFE),
        examples.row(1, category="Kitchen", label=Label.REFUSAL),
        examples.row(2, category="Garden", label=Label.REFUSAL),
        examples.row(3, category="", label=Label.UNSCORED, unscored_reason="judge_refused"),
    ]
    _open(browser, page, rows)
    category = Select(browser.find_element(By.ID, "category"))
    label = Select(browser.find_element(By.ID, "label"))

    assert sorted(_shown(browser)) == ["0", "1", "2", "3"]
    label.select_by_visible_text("refusal")
    assert sorted(_shown(browser)) == ["1", "2"]
    category.select_by_visible_text("Kitchen")
    assert _shown(browser) == ["1"]
    label.select_by_visible_text("unscored")
    assert _shown(browser) == []
    assert browser.find_element(By.ID, "nothing").is_displayed()
    category.select_by_visible_text("(no category)")
    assert _shown(browser) == ["3"]
    assert not browser.find_element(By.ID, "nothing").is_displayed()


def test_without_script_the_page_is_readable_and_stays_blurred(browser: Chrome, page: Path) -> None:
    rows = [examples.row(reply=examples.REPLIES[Label.WARNING])]
    examples.report(rows, page)
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    browser.get(page.as_uri())
    _all(browser, ".reveal")[0].click()

    assert _blur(browser, 0).startswith("blur(")
    assert not browser.find_element(By.ID, "filters").is_displayed()
    assert "images stay blurred" in browser.find_element(By.TAG_NAME, "noscript").text
    rest = _all(browser, ".rest")[0]
    rest.find_element(By.TAG_NAME, "summary").click()
    assert rest.find_element(By.CLASS_NAME, "text").is_displayed()
    assert not _all(browser, ".preview")[0].is_displayed()


def _phone(browser: Chrome) -> None:
    metrics = {"width": PHONE, "height": 740, "deviceScaleFactor": 2, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)


def _width(browser: Chrome) -> int:
    return int(browser.execute_script("return document.documentElement.scrollWidth"))


def test_a_phone_needs_no_sideways_scroll(browser: Chrome, page: Path) -> None:
    _phone(browser)
    long = "crumb" * 400
    rows = [
        *examples.rows(30),
        examples.row(90, id=long, category=long, subcategory=long, reply=long, image_refs=[long]),
        examples.row(91, reply="\u202e\u05d0\u05d1\u05d2 " * 40 + "Z\u0351\u036b" * 200),
        examples.row(92, reply="\t" * 3000, draw=lambda: examples.picture(size=(2000, 20))),
    ]
    _open(
        browser,
        page,
        rows,
        model=long,
        bench=long,
        notes=(long,),
        published=examples.PUBLISHED,
        left_out=(BadRow(long, long, long),),
    )
    for details in _all(browser, "details"):
        browser.execute_script("arguments[0].open = true", details)

    assert _width(browser) == PHONE


def test_a_right_to_left_override_ends_with_its_text(browser: Chrome, page: Path) -> None:
    _open(browser, page, [examples.row(id="1\u202e", query="\u202eabc", reply="plain words")])

    script = """
        const node = document.querySelectorAll(".words .text")[1].firstChild;
        const at = (n) => {
          const range = document.createRange();
          range.setStart(node, n);
          range.setEnd(node, n + 1);
          return range.getBoundingClientRect().left;
        };
        return at(0) < at(4);
    """
    assert browser.execute_script(script) is True


def _luminance(browser: Chrome, css: str, what: str) -> float:
    script = "return getComputedStyle(document.querySelector(arguments[0]))[arguments[1]]"
    colour = str(browser.execute_script(script, css, what))
    channels = [int(part) / 255 for part in colour[colour.index("(") + 1 : -1].split(",")[:3]]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_both_colour_schemes_can_be_read(browser: Chrome, page: Path, scheme: str) -> None:
    feature = {"name": "prefers-color-scheme", "value": scheme}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
    _open(browser, page, [*examples.rows(60), *examples.rows(60, harmful=False)])
    back = _luminance(browser, "body", "backgroundColor")

    assert (back < 0.05) is (scheme == "dark")
    for css in (".card .text", ".muted", "a", "summary"):
        ink = _luminance(browser, css, "color")
        low, high = sorted((ink, back))
        assert (high + 0.05) / (low + 0.05) >= 4.5, f"{css} is too faint"
    for label in ("refusal", "warning", "unsafe", "answered"):
        ink = _luminance(browser, f"text.on.{label}", "fill")
        fill = _luminance(browser, f"rect.fill.{label}", "fill")
        low, high = sorted((ink, fill))
        assert (high + 0.05) / (low + 0.05) >= 3.5, f"the number on {label} is too faint"
