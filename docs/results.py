"""Writes docs/results.md: the embedded tier, and the same claims on public image sets at hand.

    python -m docs.results --images DIR

`DIR` holds the folders that tests/data/real_cohorts.py names. Runs are kept in build/results, so that the
command can be interrupted and repeated; `--write-only` makes the page from reports that are there.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.data import real_cohorts

BUILD = Path("build/results")
PAGE = Path("docs/results.md")
COHORTS = {
    "chest_pediatric_pneumonia": real_cohorts.PEDIATRIC_PNEUMONIA,
    "chest_nih64": real_cohorts.NIH,
    "mammo_mias": real_cohorts.MIAS,
    "derm_ham10000": real_cohorts.HAM10000,
}
SHIFTS = {"pad_ufes": real_cohorts.PAD_UFES, "ph2": real_cohorts.PH2}
SOURCES = {
    "chest_pediatric_pneumonia": "Paediatric chest films, pneumonia or normal (Kermany et al., Cell 2018; CC BY 4.0), "
    "reduced to 224 pixels, 3,649 films. No shift is declared.",
    "chest_nih64": "ChestX-ray14 sample (Wang et al., CVPR 2017; NIH Clinical Center), 64 pixels, 699 films; "
    "atelectasis, cardiomegaly and effusion. Shift `ap`: films taken from the front, mostly lying.",
    "mammo_mias": "mini-MIAS film mammograms (Suckling et al. 1994; research only), 512 pixels, 220 films of 110 "
    "women; malignant or not. No shift is declared.",
    "derm_ham10000": "HAM10000 dermatoscopic images (Tschandl et al. 2018; CC BY-NC 4.0), 192 pixels, 4,181 lesions; "
    "malignant or not. Shifts: PAD-UFES-20 clinical photographs (Pacheco et al. 2020; CC BY 4.0) and PH2 "
    "(Mendonca et al. 2013; research only).",
}


def main() -> int:
    """Run what is missing, then write the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=Path, metavar="DIR", help="folder of the public image sets")
    parser.add_argument("--write-only", action="store_true", help="only write the page from build/results")
    args = parser.parse_args()
    if not args.write_only:
        if args.images is None:
            parser.error("--images DIR is needed to run the claims")
        judge("embedded")
        for name in COHORTS:
            judge(name, "--cohort", str(declaration(name, args.images.resolve())))
    PAGE.write_text(page(), encoding="utf-8")
    return 0


def declaration(name: str, images: Path) -> Path:
    """The cohort's cohort.yaml, written with those of its shifts beside it."""
    BUILD.mkdir(parents=True, exist_ok=True)
    texts = {**COHORTS, **SHIFTS}
    files = {key: (BUILD / f"{key}.yaml").resolve() for key in texts}
    for key in (name, *SHIFTS):
        places = {shift: files[shift] for shift in SHIFTS}
        files[key].write_text(texts[key].format(images=images, **places), encoding="utf-8")
    return files[name]


def judge(name: str, *options: str) -> None:
    """One pytest run with its report; a refuted claim makes it red, which is no reason to stop."""
    command = [sys.executable, "-m", "pytest", "benchmarks", "--store", str(BUILD / "store")]
    done = subprocess.run([*command, "--report", str(BUILD / name), *options], check=False)
    if done.returncode > 1:
        raise SystemExit(f"{name}: pytest ended with {done.returncode}")


def page() -> str:
    """The whole page, from the reports."""
    files = {name: BUILD / name / "report.json" for name in ("embedded", *COHORTS)}
    reports = {name: json.loads(file.read_text()) for name, file in files.items() if file.exists()}
    parts = [HEAD, "## Embedded tier: generated images\n", EMBEDDED, about(reports["embedded"])]
    parts.append(table(reports["embedded"]))
    parts.append("## Public image sets\n")
    parts.append(REAL)
    for name in COHORTS:
        found = reports.get(name)
        result = [about(found), table(found)] if found else ["Not run yet.\n"]
        parts += [f"### {name}\n", SOURCES[name] + "\n", *result]
    return "\n".join(parts)


def about(report: dict[str, Any]) -> str:
    """When, where and with which seeds."""
    environment, runs, claims = report["environment"], report["runs"], report["claims"]
    seeds = sorted({int(seed) for claim in claims for seed in claim["samples"].get("baseline", {})})
    devices = sorted({run["device"] for run in report["provenance"]})
    libraries = environment["libraries"]
    return (
        f"{report['created'][:10]}, {', '.join(devices)}, {environment['cores']} cores, jax {libraries['jax']}, "
        f"commit {environment['commit'][:7]}; "
        f"seeds {', '.join(map(str, seeds))}; {runs['planned']} runs, {runs['loaded']} of them loaded.\n"
    )


def table(report: dict[str, Any]) -> str:
    """One row an item, as it came out."""
    rows = [
        "| item | baseline | treatment | effect, 90 % interval | margin | verdict | patients or clusters | power at .03 |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    claims = sorted(report["claims"], key=lambda claim: claim["id"])
    rows += [row(claim) for claim in claims]
    clusters = {claim["cluster"] for claim in claims} - {"patient"}
    notes = [f"\nClustered by {cluster}." for cluster in sorted(clusters)]
    return "\n".join(rows + notes) + "\n"


def row(claim: dict[str, Any]) -> str:
    """The row of one item."""
    if claim["effect"] is None:
        return f"| {claim['id']} | | | | {claim['margin']} | {claim['state']}: {claim['reason']} | {claim['n_patients']} | |"
    effect = claim["effect"]
    cells = [
        claim["id"],
        mean(claim["samples"]["baseline"]),
        mean(claim["samples"]["treatment"]),
        f"{effect['value']:+.3f} [{effect['low']:+.3f}, {effect['high']:+.3f}]",
        f"{claim['margin']:g}",
        claim["verdict"],
        str(claim["n_patients"]),
        "" if claim["power"] is None else f"{claim['power']:.0%}",
    ]
    return f"| {' | '.join(cells)} |"


def mean(samples: dict[str, float]) -> str:
    """The mean AUC over seeds."""
    return f"{sum(samples.values()) / len(samples):.3f}"


HEAD = """\
# Results

Written by `python -m docs.results --images DIR` and not edited. Columns `baseline` and `treatment` are mean AUCs over
seeds of the backbones `bit-cifar2k-r14x0.5` and `bit-cifar50k-r14x0.5`, two small networks of our own, pre-trained
on 2,000 and 50,000 photographs at 32 pixels and fine-tuned in 150 steps at 64 pixels. **Nothing here is a clinical
result, and nothing here is a result of the study**: its networks are up to 400 times larger and were pre-trained on
up to 6,000 times as many images. Margins were declared before the first run; verdicts stand as measured.
"""
EMBEDDED = """\
Phantoms (docs/phantoms.md). These numbers show that the benchmark works; they say nothing about patients.
"""
REAL = """\
Reduced copies of public sets, some of them parts, read by `--cohort`. The sets are not in this repository.
"""

if __name__ == "__main__":
    sys.exit(main())
