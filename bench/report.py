"""A report of thousands of claims: how long it is made, how large its page is, how long a browser opens it.

    python -m bench.report             # 5,000 claims
    python -m bench.report 1000

The embedded tier is judged once from its reference runs. Its results are repeated under other names, each
copy with runs of its own, until they are as many as asked; its figures are those of one session. The page is
opened in Debian's chromium (chromium-driver, extra `test`); without one, opening is not measured.
"""

import argparse
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import cycle, islice
from pathlib import Path
from statistics import median
from typing import Any

from msgspec.structs import replace

from bench.table import Row, cells, has_modules
from medbench import __version__, environment
from medbench.report import html, markdown, table
from medbench.report.figures import Figure
from medbench.report.record import ItemResult, Report, Session, build, to_json
from medbench.study import Options, Study

CLAIMS = 5_000
SUITE = Path("benchmarks")
FORMS: dict[str, Callable[[Report], bytes]] = {
    "json": to_json,
    "html": lambda report: html.render(report).encode(),
    "md": lambda report: markdown.render(report).encode(),
    "csv": lambda report: table.render(report).encode(),
}
OPENED = """
const [load] = performance.getEntriesByType("navigation");
const paint = performance.getEntriesByName("first-contentful-paint")[0];
return Math.max(load.loadEventEnd, paint ? paint.startTime : 0) / 1000;
"""
"""Seconds from asking for the page until it is read, its script has run, and something is seen."""
FILTERED = """
const [box, done] = [document.querySelector("input[name=red]"), arguments[0]];
const begin = performance.now();
box.click();
requestAnimationFrame(() => setTimeout(() => done((performance.now() - begin) / 1000)));
"""
"""Seconds from a click on "failures only" until the browser has drawn what is left."""


def rows(claims: int = CLAIMS, repetitions: int = 5) -> Iterator[Row]:
    """What was measured, as it comes.

    Args:
      claims: of the report.
      repetitions: of everything but judging.
    """
    with tempfile.TemporaryDirectory(prefix="medbench-bench-") as folder:
        results, figures = judged(Path(folder))
    seconds: dict[str, list[float]] = {}
    for _ in range(repetitions):
        made, took = made_of(repeated(results, claims), figures)
        for form, each in took.items():
            seconds.setdefault(form, []).append(each)
    for form, each in seconds.items():
        yield _row(claims, f"make/{form}", median(each), "s")
    yield _row(claims, "make", median(map(sum, zip(*seconds.values(), strict=True))), "s")
    for form, content in made.items():
        yield _row(claims, f"size/{form}", len(content) / 1e6, "MB")
    yield from _opened(claims, made["html"], repetitions)


def judged(store: Path) -> tuple[list[ItemResult], list[Figure]]:
    """The embedded tier from its reference runs: what every item came to, and what is drawn of them."""
    study = Study.open(SUITE, Options(tier="embedded", store=store, runs="never"))
    results = [study.result(item) for item in study.items]
    judgements = [result.judgement for result in results if result.judgement]
    return results, study.figures(study.plan(study.items), judgements)


def repeated(results: Sequence[ItemResult], number: int) -> list[ItemResult]:
    """So many results, each after the first round under a name of its own and of runs of its own."""
    return [_copy(result, i // len(results)) for i, result in enumerate(islice(cycle(results), number))]


def _copy(result: ItemResult, copy: int) -> ItemResult:
    if not copy or not result.judgement or not result.check:
        return result
    task, claim, rest = result.id.split("/", 2)
    name = f"{claim}-{copy}"
    id_ = f"{task}/{name}/{rest}"
    runs = [
        replace(
            run,
            run_id=_other(run.run_id, copy),
            spec_id=_other(run.spec_id, copy),
            label=f"{copy} {run.label}",
        )
        for run in result.runs
    ]
    return replace(
        result,
        id=id_,
        judgement=replace(result.judgement, id=id_, claim=name),
        check=replace(result.check, id=id_),
        runs=runs,
    )


def _other(id_: str, copy: int) -> str:
    """An id as long as the given one."""
    return f"{id_[2:]}{copy:02x}"


def made_of(
    results: Sequence[ItemResult], figures: Sequence[Figure]
) -> tuple[dict[str, bytes], dict[str, float]]:
    """Every form of the report, and the seconds that each took; the record itself counts as `record`."""
    begin = time.perf_counter()
    report = build(
        results,
        version=__version__,
        created="2026-01-01T00:00:00+00:00",
        tier="embedded",
        scope="",
        warnings=[],
        environment=Session(
            device_class=environment.CPU,
            cores=environment.usable_cores(),
            platform=platform.platform(),
            python=platform.python_version(),
            libraries=environment.library_versions(),
            commit=environment.commit(),
        ),
        planned=len({run.run_id for result in results for run in result.runs}),
        naive=sum(len(result.runs) for result in results),
        figures=figures,
    )
    seconds, made = {"record": time.perf_counter() - begin}, {}
    for form, render in FORMS.items():
        begin = time.perf_counter()
        made[form] = render(report)
        seconds[form] = time.perf_counter() - begin
    return made, seconds


def _opened(claims: int, page: bytes, repetitions: int) -> Iterator[Row]:
    if not has_modules(sys.executable, "selenium"):
        print("selenium is not installed: opening is not measured", file=sys.stderr)
        return
    from tests.report import browser  # noqa: PLC0415

    if not (browser.CHROMIUM and browser.DRIVER):
        print("no chromium and chromedriver on the PATH: opening is not measured", file=sys.stderr)
        return
    with tempfile.TemporaryDirectory(prefix="medbench-bench-") as folder:
        path = Path(folder) / "report.html"
        path.write_bytes(page)
        taken = [_in_browser(browser, path.as_uri()) for _ in range(repetitions)]
    opened, filtered = zip(*taken, strict=True)
    yield _row(claims, "open", median(opened), "s")
    yield _row(claims, "failures-only", median(filtered), "s")


def _in_browser(browser: Any, url: str) -> tuple[float, float]:
    """Seconds of opening and of filtering, in a browser that was never open before."""
    driver = browser.start()
    try:
        driver.get(url)
        return driver.execute_script(OPENED), driver.execute_async_script(FILTERED)
    finally:
        driver.quit()


def _row(claims: int, what: str, value: float, unit: str) -> Row:
    return Row(f"report/{claims}/{what}", value, None, None, unit)


def main() -> None:
    """Measure, and print what was measured."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.report",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("claims", nargs="?", type=int, default=CLAIMS, help="how many (%(default)s)")
    args = parser.parse_args()
    if args.claims < 1:
        parser.error(f"{args.claims} claims: expected 1 or more")
    for row in rows(args.claims):
        print("  ".join(cells(row)), flush=True)


if __name__ == "__main__":
    main()
