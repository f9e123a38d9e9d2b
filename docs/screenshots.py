"""Takes the pictures of a report in docs/report/, from a made-up record that shows every kind of figure.

    python docs/screenshots.py

Needs Debian's chromium and chromium-driver, and selenium (extra `test`).
"""

import base64
import io
import tempfile
from pathlib import Path

from PIL import Image

from medbench.report import html
from tests.report import browser
from tests.report.records import sample

FOLDER = Path(__file__).parent / "report"
VIEWS = {"desktop": (1280, 2000, False), "phone": (390, 1600, False), "dark": (1280, 2000, True)}


def main():
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "report.html"
        page.write_text(html.render(sample()), encoding="utf-8")
        for name, (width, height, dark) in VIEWS.items():
            driver = browser.start(width, height, dark=dark)
            try:
                driver.get(page.as_uri())
                taken = driver.execute_cdp_cmd("Page.captureScreenshot", {})["data"]
            finally:
                driver.quit()
            image = Image.open(io.BytesIO(base64.b64decode(taken))).convert("RGB").quantize(256)
            image.save(FOLDER / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main()
