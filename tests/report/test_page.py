"""The page in a real browser: that it works, is accessible, and asks for nothing."""

import base64
import os
from pathlib import Path

import pytest

from medbench.report import html
from tests.report import browser
from tests.report.records import figures, sample

pytest.importorskip("selenium", reason="the extra `test` has selenium")
from selenium.webdriver.support import wait

AXE = Path(os.environ.get("MEDBENCH_AXE", Path(__file__).parents[2] / "build/axe/package/axe.min.js"))
pytestmark = pytest.mark.skipif(
    not (browser.CHROMIUM and browser.DRIVER), reason="chromium and chromium-driver are not installed"
)


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(html.render(sample()), encoding="utf-8")
    return path.as_uri()


@pytest.fixture(scope="module")
def window():
    driver = browser.start()
    yield driver
    driver.quit()


@pytest.fixture
def opened(window, page):
    window.get("about:blank")
    window.get(page)
    return window


def find(driver, selector):
    return driver.find_elements("css selector", selector)


def shown(driver):
    return [row.get_attribute("id") for row in find(driver, ".claims > tbody > tr:not([hidden])")]


def test_every_figure_is_drawn_with_a_name(opened):
    drawn = find(opened, "figure > svg[role=img]")
    assert len(drawn) == len(figures()) + 3  # and effects of each task
    for svg in drawn:
        opened.execute_script("arguments[0].scrollIntoView()", svg)  # nothing is laid out before it is near
        assert svg.rect["height"] > 80
        assert svg.find_element("css selector", "title").get_attribute("textContent")


def test_nothing_but_the_file_is_asked_for_and_the_console_is_silent(opened, page):
    assert {url for url in browser.requested(opened) if url != "about:blank"} == {page}
    assert opened.get_log("browser") == []


def test_failures_only_filters_and_search_show_what_fits_and_say_how_many(opened):
    assert len(shown(opened)) == 30
    (red,) = find(opened, "input[name=red]")
    red.send_keys(" ")
    assert shown(opened) == ["chest/scale-data/id"]
    assert find(opened, "output")[0].text == "1 of 30 claims"
    assert "failures=only" in opened.current_url
    red.send_keys(" ")
    find(opened, "select[name=task]")[0].send_keys("derm")
    assert {row.split("/")[0] for row in shown(opened)} == {"dermatology"}
    find(opened, "input[name=q]")[0].send_keys("claim-3")
    assert shown(opened) == ["dermatology/claim-3/id"]
    find(opened, "button[type=reset]")[0].send_keys("\ue007")
    opened.implicitly_wait(1)
    assert find(opened, ".claims > tbody > tr:nth-child(30):not([hidden])")


def test_a_column_sorts_by_the_keyboard_both_ways_and_says_so(opened):
    effects = {claim.id: claim.effect.value for claim in sample().claims}
    head = find(opened, ".claims thead button")[2]
    head.send_keys("\ue007")
    assert [effects[id_] for id_ in shown(opened)] == sorted(effects.values())
    assert find(opened, "[aria-sort=ascending]")[0].text.startswith("effect")
    head.send_keys("\ue007")
    assert [effects[id_] for id_ in shown(opened)] == sorted(effects.values(), reverse=True)
    assert find(opened, "[aria-sort=descending]")


def test_evidence_opens_by_the_keyboard_and_its_runs_are_found(opened):
    opened.execute_script("document.querySelector('.claims tbody summary').focus()")
    opened.switch_to.active_element.send_keys("\ue007")
    (link,) = find(opened, ".claims tbody tr:first-child .evidence a")
    link.send_keys("\ue007")
    (run,) = find(opened, "#r1")
    assert run.is_displayed()


def test_packed_evidence_opens_as_the_other_does(window, tmp_path, monkeypatch):
    monkeypatch.setattr(html, "INLINE", 10)
    path = tmp_path / "report.html"
    path.write_text(html.render(sample()), encoding="utf-8")
    window.get(path.as_uri())
    window.get_log("browser")
    for id_ in ("dermatology/claim-3/id", "chest/claim-8/id", "chest/scale-data/id"):
        row = window.find_element("id", id_)
        row.find_element("css selector", "summary").send_keys("\ue007")
        wait.WebDriverWait(window, 10).until(
            lambda _, row=row: row.find_elements("css selector", ".evidence")
        )
        assert len(row.find_elements("css selector", ".evidence")) == 1
        assert "seed 1" in row.find_element("css selector", ".samples").text
    row.find_element("css selector", "summary").send_keys("\ue007\ue007")
    assert len(row.find_elements("css selector", ".evidence")) == 1
    assert window.get_log("browser") == []


def test_without_scripts_everything_is_there(window, page):
    window.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        window.get(page)
        assert not find(window, ".controls")[0].is_displayed()
        assert find(window, ".claims .evidence .samples")
        assert len(shown(window)) == 30
    finally:
        window.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


@pytest.mark.parametrize("fragment", ["%E0%A4%A", "no-such-place", "a=b", "chest/none/id", "%00"])
def test_a_fragment_that_names_nothing_does_nothing(opened, page, fragment):
    find(opened, "input[name=red]")[0].send_keys(" ")
    opened.execute_script("location.hash = arguments[0]", fragment)
    opened.execute_async_script("setTimeout(arguments[0], 50)")
    assert shown(opened) == ["chest/scale-data/id"]
    opened.get("about:blank")
    opened.get(f"{page}#{fragment}")
    assert len(shown(opened)) == 30
    assert find(opened, "output")[0].text == "30 of 30 claims"
    assert opened.get_log("browser") == []


def test_a_fragment_that_the_page_made_brings_its_filters_back(opened, page):
    opened.get("about:blank")
    opened.get(f"{page}#failures=only")
    assert shown(opened) == ["chest/scale-data/id"]
    opened.execute_script("location.hash = 'task=dermatology'")
    opened.execute_async_script("setTimeout(arguments[0], 50)")
    assert {row.split("/")[0] for row in shown(opened)} == {"dermatology"}


def visible(driver, selector):
    return [each for each in find(driver, selector) if each.is_displayed()]


def test_on_paper_are_no_controls_but_the_evidence_of_what_is_red_or_moved(opened):
    printed = base64.b64decode(opened.execute_cdp_cmd("Page.printToPDF", {})["data"])
    assert printed.startswith(b"%PDF")
    assert find(opened, ".printed .samples")  # made by the event, as evidence is text until it is opened
    assert not find(opened, ".claims details[open]")
    opened.execute_script("dispatchEvent(new Event('beforeprint'))")
    opened.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    try:
        assert len(visible(opened, ".claims .evidence")) == 1
        assert not visible(opened, ".controls, .skip, summary")
        for row in find(opened, "tr"):
            assert row.value_of_css_property("break-inside") == "avoid"
    finally:
        opened.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
        opened.execute_script("dispatchEvent(new Event('afterprint'))")
    assert not find(opened, ".claims details[open]")


def test_paper_is_white_for_those_who_read_in_the_dark(page):
    driver = browser.start(dark=True)
    try:
        driver.get(page)
        dark = [{"name": "prefers-color-scheme", "value": "dark"}]
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print", "features": dark})
        (drifted,) = find(driver, ".cards .drifted")
        assert drifted.value_of_css_property("color") == "rgba(179, 32, 42, 1)"
    finally:
        driver.quit()


def test_on_a_phone_the_rows_of_what_changed_are_cards_with_a_name_for_each_value(page):
    driver = browser.start(360)
    try:
        driver.get(page)
        rows = find(driver, ".cards > tbody > tr")
        assert rows
        for row in rows:
            for cell in row.find_elements("css selector", "td"):
                assert cell.rect["x"] + cell.rect["width"] <= 360
                named = "return getComputedStyle(arguments[0], '::before').content"
                assert driver.execute_script(named, cell) == f'"{cell.get_attribute("data-label")}"'
        heads = [head.get_attribute("textContent") for head in find(driver, ".cards th[scope=col]")]
        assert {cell.get_attribute("data-label") for cell in find(driver, ".cards td")} <= set(heads)
    finally:
        driver.quit()


@pytest.mark.parametrize("width", [360, 1280])
def test_a_table_is_a_table_to_a_screen_reader_however_it_is_laid_out(page, width):
    driver = browser.start(width)
    try:
        driver.get(page)
        for table in find(driver, ".cards, .claims"):
            assert table.get_attribute("role") == "table"
            assert table.aria_role == "table"
            for row in table.find_elements("css selector", ":scope > * > tr")[:3]:
                assert row.get_attribute("role") == "row"
                cells = {cell.get_attribute("role") for cell in row.find_elements("xpath", "./*")}
                assert cells <= {"cell", "columnheader", "rowheader"}
    finally:
        driver.quit()


@pytest.mark.skipif(not AXE.is_file(), reason="axe-core is absent: ci/axe.sh fetches it")
@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [360, 1280])
def test_axe_finds_no_violation_and_no_page_scrolls_sideways(page, width, dark):
    driver = browser.start(width, dark=dark)
    try:
        driver.get(page)
        driver.execute_script("document.querySelectorAll('details').forEach(each => { each.open = true })")
        assert driver.execute_script("return document.documentElement.scrollWidth") <= width
        driver.execute_script(AXE.read_text(encoding="utf-8"))
        found = driver.execute_async_script("axe.run().then(arguments[0])")
        told = [(each["id"], [node["target"] for node in each["nodes"]][:3]) for each in found["violations"]]
        assert told == []
        assert "color-contrast" in {each["id"] for each in found["passes"]}
    finally:
        driver.quit()


def test_a_page_of_5000_claims_is_below_ten_megabytes():
    assert len(html.render(sample(5000)).encode()) < 10_000_000
