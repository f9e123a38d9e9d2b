"""The site in a real browser: axe-core finds no violation of WCAG 2.1 AA."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.report import browser

for needed in ("sphinx", "furo", "myst_parser"):
    pytest.importorskip(needed, reason="the site needs the docs extra")
pytest.importorskip("selenium", reason="the extra `test` has selenium")
ROOT = Path(__file__).parents[2]
AXE = Path(os.environ.get("MEDBENCH_AXE", ROOT / "build/axe/package/axe.min.js"))
PAGES = ("index", "nightly", "tutorial", "reference/commands")
"""The first that people see, one with tables, one with code, one that is generated."""

RUN = """
const tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"];
axe.run(document, { runOnly: tags }).then(arguments[0]);
"""
"""Of the theme's own frame, axe's further advice is not ours to follow."""


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    into = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-q", "-c", ROOT / "docs/site", ROOT / "docs", into]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return into


@pytest.mark.skipif(
    not (browser.CHROMIUM and browser.DRIVER), reason="chromium and chromium-driver are not installed"
)
@pytest.mark.skipif(not AXE.is_file(), reason="axe-core is absent: ci/axe.sh fetches it")
@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [360, 1280])
def test_axe_finds_no_violation(site, width, dark):
    driver = browser.start(width, dark=dark)
    try:
        for page in PAGES:
            driver.get((site / f"{page}.html").as_uri())
            driver.execute_script(AXE.read_text(encoding="utf-8"))
            found = driver.execute_async_script(RUN)
            told = [
                (each["id"], [node["html"][:160] for node in each["nodes"]][:3])
                for each in found["violations"]
            ]
            assert (page, told) == (page, [])
            assert "color-contrast" in {each["id"] for each in found["passes"]}
    finally:
        driver.quit()
