"""The report in a real browser: nothing is missing, and what can be clicked works."""

import base64
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import browsers
import pytest
import report_pages
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("results")


@pytest.fixture(scope="module")
def chrome(folder: Path) -> Iterator[Any]:
    with browsers.browser(folder / "downloads") as chrome:
        yield chrome


@pytest.fixture(autouse=True)
def page(chrome: Any, folder: Path) -> None:
    """Open the page anew."""
    if not (folder / "report.html").is_file():
        report_pages.write(folder)
    browsers.set_width(chrome, 1400)
    chrome.get("about:blank")
    chrome.get((folder / "report.html").as_uri())


def shown(chrome: Any) -> list[str]:
    """Return the ids of the claims that are to be seen, in their order."""
    rows = chrome.find_elements(By.CSS_SELECTOR, ".claims tbody tr")
    return [row.get_attribute("id").removeprefix("claim-") for row in rows if row.is_displayed()]


def wait(condition: Callable[[], object]) -> None:
    """Wait until a condition holds, at most ten seconds."""
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)


def chip(chrome: Any, verdict: str) -> Any:
    return chrome.find_element(By.CSS_SELECTOR, f".filter .{verdict}")


def test_it_is_sound(chrome: Any) -> None:
    browsers.assert_sound(chrome)


def test_it_fits_a_phone_and_a_tablet(chrome: Any) -> None:
    for width in (320, 390, 768, 1000, 1400):
        browsers.set_width(chrome, width)
        assert browsers.overflow(chrome) == 0, width
    browsers.set_width(chrome, 390)
    contents = chrome.find_element(By.CSS_SELECTOR, ".contents details")
    wait(lambda: contents.get_attribute("open") is None)
    browsers.set_width(chrome, 1400)
    wait(lambda: contents.get_attribute("open") is not None)


def test_claims_are_filtered_by_verdict(chrome: Any) -> None:
    everything = ["risk-plain", "equal", "growth", "cushion", "half", "deep"]
    # What was not measured waits for a click.
    assert shown(chrome) == everything[:5]
    output = chrome.find_element(By.CSS_SELECTOR, ".filter output")
    assert output.text == "5 of 6 claims"
    chip(chrome, "not-measured-at-this-scale").click()
    assert shown(chrome) == everything
    chip(chrome, "reproduced").click()
    assert shown(chrome) == ["risk-plain", "growth", "cushion", "deep"]
    chip(chrome, "not-comparable-at-this-scale").click()
    assert shown(chrome) == ["growth", "cushion", "deep"]
    chrome.find_element(By.CSS_SELECTOR, ".filter [type=reset]").click()
    wait(lambda: shown(chrome) == everything)
    assert output.text == "6 of 6 claims"


def test_claims_are_filtered_by_kind(chrome: Any) -> None:
    chrome.find_element(By.CSS_SELECTOR, "[name=kind][value=statement]").click()
    assert shown(chrome) == ["risk-plain", "half"]


@pytest.mark.parametrize(
    ("card", "expected"),
    [
        ("statements-that-hold", ["equal", "growth"]),
        ("statements-that-do-not-hold", ["cushion"]),
        ("numbers-compared", ["risk-plain", "half"]),
        ("not-measured-at-this-scale", ["deep"]),
    ],
)
def test_a_card_of_the_summary_shows_its_claims(
    chrome: Any, card: str, expected: list[str]
) -> None:
    chosen = chrome.find_element(By.CSS_SELECTOR, f".card.{card} a")
    assert chosen.find_element(By.CLASS_NAME, "count").text == str(len(expected))
    chosen.click()
    assert shown(chrome) == expected


def test_claims_are_searched(chrome: Any) -> None:
    field = chrome.find_element(By.NAME, "words")
    field.send_keys("table 1 plain")
    assert shown(chrome) == ["risk-plain"]
    field.send_keys(" nonsense")
    assert shown(chrome) == []
    assert chrome.find_element(By.CSS_SELECTOR, ".nothing").is_displayed()
    field.send_keys(Keys.ENTER)
    assert chrome.current_url.endswith("report.html")


def test_a_link_to_a_hidden_claim_shows_it(chrome: Any) -> None:
    chrome.execute_script("location.hash = 'claim-deep'")
    wait(lambda: "deep" in shown(chrome))


def test_tables_are_sorted_by_number_and_by_text(chrome: Any) -> None:
    heads = chrome.find_elements(By.CSS_SELECTOR, ".claims thead button")
    names = [head.text.strip() for head in heads]
    measured = heads[names.index("Measured")]
    measured.click()
    assert shown(chrome) == ["equal", "risk-plain", "cushion", "half", "growth"]
    # The keyboard does the same, and the direction is said.
    measured.send_keys(Keys.ENTER)
    assert shown(chrome) == ["growth", "half", "cushion", "risk-plain", "equal"]
    head = measured.find_element(By.XPATH, "..")
    assert head.get_attribute("aria-sort") == "descending"
    heads[names.index("Claim")].click()
    assert shown(chrome) == ["cushion", "equal", "half", "growth", "risk-plain"]
    assert head.get_attribute("aria-sort") is None
    # Claims without a published number come last in both directions.
    for _ in range(2):
        heads[names.index("Published")].click()
        assert {*shown(chrome)[3:]} == {"cushion", "equal"}


def test_tables_from_files_are_sorted_too(chrome: Any) -> None:
    def depths() -> list[str]:
        cells = chrome.find_elements(By.CSS_SELECTOR, ".tables tbody td:first-child")
        return [cell.text for cell in cells]

    head = chrome.find_element(By.CSS_SELECTOR, ".tables thead button")
    assert depths() == ["20", "8", "44"]
    head.click()
    assert depths() == ["8", "20", "44"]
    head.click()
    assert depths() == ["44", "20", "8"]


def test_figures_are_enlarged_by_keyboard(chrome: Any) -> None:
    dialog = chrome.find_element(By.ID, "zoomed")
    button = chrome.find_element(By.CSS_SELECTOR, ".zoom")
    button.send_keys(Keys.ENTER)
    wait(dialog.is_displayed)
    wait(
        lambda: chrome.execute_script("return !!document.querySelector('.stage img')?.style.width")
    )
    picture = chrome.find_element(By.CSS_SELECTOR, ".stage img")
    before = picture.size["width"]
    chrome.find_element(By.CSS_SELECTOR, "[data-zoom='1']").click()
    assert picture.size["width"] == pytest.approx(1.4 * before, rel=0.02)
    chrome.find_element(By.CSS_SELECTOR, "[data-zoom='0']").click()
    assert picture.size["width"] == pytest.approx(before, rel=0.02)
    chrome.switch_to.active_element.send_keys(Keys.ESCAPE)
    wait(lambda: not dialog.is_displayed())
    assert chrome.switch_to.active_element == button


def test_the_data_behind_a_figure_can_be_saved(chrome: Any, folder: Path) -> None:
    chrome.find_element(By.CSS_SELECTOR, "#figure3 .source a").click()
    saved = folder / "downloads" / "figure3.csv"
    wait(saved.is_file)
    assert saved.read_text("utf-8") == "a,b\n1,2\n"


def test_it_prints(chrome: Any) -> None:
    content = base64.b64decode(chrome.print_page())
    assert content.startswith(b"%PDF") and len(content) > 10_000
    # A table with as many columns as some of the real ones.
    chrome.execute_script(
        "for (const row of document.querySelector('#table1 table').rows)"
        " for (let count = 0; count < 10; count++)"
        " row.insertCell().textContent = '0.07304 ± 0.00012'"
    )
    with browsers.paper(chrome):
        assert browsers.overflow(chrome) == 0 and browsers.broken_numbers(chrome) == []
        # What is in a box of its own is not repeated on the next page.
        button = "return getComputedStyle(document.querySelector('.claims th button')).display"
        assert chrome.execute_script(button) == "contents"
        hidden = chrome.find_elements(By.CSS_SELECTOR, ".contents, .filter fieldset, .skip")
        assert hidden and not any(element.is_displayed() for element in hidden)
        assert chrome.find_element(By.ID, "digests").is_displayed()


def test_without_scripts_everything_is_there(chrome: Any, folder: Path) -> None:
    chrome.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        chrome.get((folder / "report.html").as_uri() + "?plain")
        rows = chrome.find_elements(By.CSS_SELECTOR, ".claims tbody tr")
        assert len(rows) == 6 and all(row.is_displayed() for row in rows)
        assert not chrome.find_element(By.CSS_SELECTOR, ".filter").is_displayed()
    finally:
        chrome.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
