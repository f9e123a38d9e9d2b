"""Writes docs/results.md: the embedded tier, and the same claims on public image sets at hand.

    python -m docs.results --images DIR

`DIR` holds the folders that tests/data/real_cohorts.py names. Runs are kept in build/results, so that the
command can be interrupted and repeated; `--write-only` makes the page from reports that are there, also of
sessions on other machines, such as `pytest benchmarks --runs=force --report build/results/embedded-elsewhere`.
"""

import argparse
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from statistics import fmean
from typing import Any

import msgspec

from docs import laid_out
from medbench.anchors import Anchor, load_anchors, shown
from medbench.report import terminal
from medbench.report.record import Report
from medbench.synthesis import Conclusion
from tests.data import real_cohorts

BUILD = Path("build/results")
PAGE, FOLDER = Path("docs/results.md"), Path("docs/results")
UPSTREAMS = ("random", "cifar2k", "cifar10k", "cifar50k")
STAGES = ("root", "block1", "block2", "block3", "block4", "pre_logits")
Points = Callable[[dict[str, Any]], list[tuple[str, list[float]]]]
COHORTS = {
    "chest_pediatric_pneumonia": real_cohorts.PEDIATRIC_PNEUMONIA,
    "chest_nih64": real_cohorts.NIH,
    "mammo_mias": real_cohorts.MIAS,
    "derm_ham10000": real_cohorts.HAM10000,
}
SHIFTS = {
    "nih_adult": real_cohorts.NIH_ADULT,
    "pad_ufes": real_cohorts.PAD_UFES,
    "ph2": real_cohorts.PH2,
}
LAID_OUT: dict[str, tuple[str, Callable[[Path, Path], Path]]] = {
    "pad-ufes-20": ("derm_pad_ufes", laid_out.pad_ufes_20),
    "nih-cxr14": ("chest_nih64", laid_out.nih_cxr14),
}
"""Public cohorts by name: the folder with a reduced copy, and how it is laid out as its publisher does."""
PNEUMONIA = "pneumoniamnist/pneumoniamnist_28.npz"
PUBLIC_CLAIM = "transfer-gain-same-recipe"
SETS = {"chest_nih64": "nih-chestxray14"}
"""As `expectations/anchors.yaml` names the sets that these are copies of."""
SOURCES = {
    "chest_pediatric_pneumonia": "Paediatric chest films, pneumonia or normal (Kermany et al., Cell 2018; CC BY 4.0), "
    "reduced to 224 pixels, 3,649 films. Shift `adult-films`: ChestX-ray14 at 64 pixels, where `infiltration` stands in for "
    "pneumonia.",
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
        for name, reference in public(args.images.resolve()).items():
            judge(name, "--cohort", reference, "-k", PUBLIC_CLAIM)
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


def public(images: Path) -> dict[str, str]:
    """Public cohorts by name, laid out as published, prepared, and opened by their references."""
    os.environ["MEDBENCH_COHORTS"] = str((BUILD / "cohorts").resolve())
    for name, (copy, lay_out) in LAID_OUT.items():
        folder = lay_out(images / copy, BUILD / "laid-out" / name)
        subprocess.run(
            [sys.executable, "-m", "medbench.cli", "cohort", "prepare", name, "--from", str(folder)],
            check=True,
        )
    return {name: f"public:{name}" for name in LAID_OUT} | {
        "pneumoniamnist": f"medmnist:{images / PNEUMONIA}"
    }


def judge(name: str, *options: str) -> None:
    """One pytest run with its report; a refuted claim makes it red, which is no reason to stop."""
    command = [sys.executable, "-m", "pytest", "benchmarks", "--store", str(BUILD / "store")]
    done = subprocess.run([*command, "--report", str(BUILD / name), *options], check=False)
    if done.returncode > 1:
        raise SystemExit(f"{name}: pytest ended with {done.returncode}")


def page() -> str:
    """The whole page, from the reports."""
    files = {name: BUILD / name / "report.json" for name in ("embedded", *COHORTS, *PUBLIC_SOURCES)}
    reports = {name: json.loads(file.read_text()) for name, file in files.items() if file.exists()}
    parts = [HEAD, "## Embedded tier: generated images\n", EMBEDDED, *results(reports["embedded"])]
    draw(reports["embedded"])
    parts += [FIGURES, *elsewhere(BUILD / "embedded-elsewhere" / "report.json", reports["embedded"])]
    parts += [TRANSFER, "## Public image sets\n", REAL]
    anchors = load_anchors(Path("expectations/anchors.yaml"))
    for name in COHORTS:
        parts += [f"### {name}\n", SOURCES[name] + "\n", *published(anchors, SETS.get(name, ""))]
        parts += results(reports[name]) if name in reports else ["Not run yet.\n"]
    parts += ["## Public cohorts\n", PUBLIC]
    for name, text in PUBLIC_SOURCES.items():
        parts += [f"### {name}\n", text + "\n"]
        parts += results(reports[name]) if name in reports else ["Not run yet.\n"]
    return "\n".join(parts)


def elsewhere(file: Path, here: dict[str, Any]) -> list[str]:
    """What came out where all runs were trained again on another device."""
    if not file.exists():
        return []
    report = json.loads(file.read_text())
    verdicts = {claim["id"]: claim["verdict"] for claim in here["claims"]}
    changed = [
        f"{claim['id']} ({verdicts[claim['id']]} here, {claim['verdict']} there)"
        for claim in report["claims"]
        if claim["verdict"] != verdicts[claim["id"]]
    ]
    counts = report["counts"]
    compared = (
        f"{counts['judged']} items judged and held against the values accepted on this page's machine: "
        f"{counts['drifted']} drifted, {counts['vanished']} vanished. Verdicts that differ: "
        f"{', '.join(changed) or 'none'}.\n"
    )
    return ["### The whole tier on another device\n", about(report), compared]


def results(report: dict[str, Any]) -> list[str]:
    """All that is said of one session."""
    together = [synthesis(each) for each in report["syntheses"]]
    return [about(report), glance(report), *together, *asked(report), *details(report)]


def about(report: dict[str, Any]) -> str:
    """When, where and with which seeds."""
    environment, runs, claims = report["environment"], report["runs"], report["claims"]
    seeds = sorted({int(seed) for claim in claims for of in claim["samples"].values() for seed in of})
    devices = sorted({run["device"] for run in report["provenance"]})
    libraries = environment["libraries"]
    return (
        f"{report['created'][:10]}, {', '.join(devices)}, {environment['cores']} cores, jax {libraries['jax']}, "
        f"commit {environment['commit'][:7]}; seeds {', '.join(map(str, seeds))}; {runs['planned']} runs "
        f"({runs['naive']} without sharing), {runs['loaded']} of them loaded.\n"
    )


def glance(report: dict[str, Any]) -> str:
    """Verdicts counted by claim and task."""
    tasks = list(dict.fromkeys(each["task"] for each in report["asked"] if each["items"]))
    counted: dict[str, dict[str, Counter[str]]] = {}
    for claim in sorted(report["claims"], key=lambda claim: claim["id"]):
        of_claim = counted.setdefault(claim["claim"], {task: Counter() for task in tasks})
        of_claim[claim["task"]][claim["verdict"] or claim["state"]] += 1
    rows = [f"| claim | {' | '.join(tasks)} |", "| --- " * (len(tasks) + 1) + "|"]
    rows += [
        f"| {name} | {' | '.join(words(of_claim[task]) for task in tasks)} |"
        for name, of_claim in counted.items()
    ]
    return "\n".join(rows) + "\n"


def words(counts: Counter[str]) -> str:
    """`supported`, or `2 supported, 1 inconclusive`."""
    if counts.total() == 1:
        return next(iter(counts))
    return ", ".join(f"{number} {verdict}" for verdict, number in counts.most_common())


def synthesis(conclusion: dict[str, Any]) -> str:
    """What the claims come to together in one task."""
    return terminal.synthesis(msgspec.convert(conclusion, Conclusion)) + ".\n"


def asked(report: dict[str, Any]) -> list[str]:
    """How much was asked, and what has no item."""
    whole = msgspec.convert(report, Report, strict=False)  # seeds are keys, which JSON has as text
    return [f"{line}.\n" for line in terminal.asked(whole)]


def details(report: dict[str, Any]) -> list[str]:
    """A table a claim, one row an item, as it came out."""
    by_claim: dict[str, list[dict[str, Any]]] = {}
    for claim in sorted(report["claims"], key=lambda claim: claim["id"]):
        by_claim.setdefault(claim["claim"], []).append(claim)
    return ["<details><summary>every item</summary>\n", *map(table, by_claim.values()), "</details>\n"]


def table(items: list[dict[str, Any]]) -> str:
    """The items of one claim."""
    one = items[0]
    clusters = {item["cluster"] for item in items} - {"patient"}
    of = "clusters" if clusters else "patients"
    metrics = ", ".join(dict.fromkeys(item["metric"] for item in items))
    lines = [f"**{one['claim']}** ({metrics}, margin {one['margin']:g}). {one['statement']}\n"]
    lines += [f"| item | {of} | mean by arm | effect, 90 % interval | verdict | power |", "| --- " * 6 + "|"]
    lines += [row(item) for item in items]
    lines += [f"\nClustered by {cluster}." for cluster in sorted(clusters)]
    return "\n".join(lines) + "\n"


def row(item: dict[str, Any]) -> str:
    """The row of one item."""
    means = ", ".join(f"{term} {fmean(of.values()):.3f}" for term, of in item["samples"].items() if of)
    effect = item["effect"]
    if effect is None:
        return f"| {item['id']} | {item['n_patients']} | {means} | | {item['state']}: {item['reason']} | |"
    interval = f"{effect['value']:+.3f} [{effect['low']:+.3f}, {effect['high']:+.3f}]"
    power = "" if item["power"] is None else f"{item['power']:.0%}"
    return f"| {item['id']} | {item['n_patients']} | {means} | {interval} | {item['verdict']} | {power} |"


def published(anchors: list[Anchor], name: str) -> list[str]:
    """What others published of the set that a cohort is a copy of."""
    found = [anchor for anchor in anchors if anchor.set == name]
    if not found:
        return []
    lines = [
        "Published of the whole set, by other networks, on other splits; nothing here is compared with it:\n"
    ]
    lines += ["| value | metric | model | source |", "| --- " * 4 + "|"]
    lines += [f"| {shown(each)} | {each.metric} | {each.model} | {each.source} |" for each in found]
    return ["\n".join(lines) + "\n"]


def draw(report: dict[str, Any]) -> None:
    """The figures of the embedded tier."""
    import matplotlib as mpl  # noqa: PLC0415

    mpl.use("Agg")
    mpl.rcParams["svg.hashsalt"] = "medbench"  # the same bytes from the same numbers
    figure("ladder.svg", report, "scale-trend", "upstream images", ladder)
    figure("learning.svg", report, "data-efficiency", "share of the training patients", learning)
    save(reuse_by_stage(), "reuse.svg")


def figure(name: str, report: dict[str, Any], claim: str, axis: str, points: Points) -> None:
    """One panel a task: the mean AUC, and every seed."""
    from matplotlib import pyplot as plt  # noqa: PLC0415

    items = [item for item in report["claims"] if item["claim"] == claim]
    drawn, panels = plt.subplots(1, len(items), figsize=(3.2 * len(items), 2.8), sharey=True, squeeze=False)
    for panel, item in zip(panels[0], sorted(items, key=lambda item: item["task"]), strict=True):
        for i, (label, values) in enumerate(points(item)):
            panel.plot([i] * len(values), values, ".", color="0.7")
            panel.plot(i, fmean(values), "o", color="C0")
            panel.text(i, min(values) - 0.004, label, ha="center", va="top", fontsize=7)
        panel.margins(x=0.15, y=0.15)
        panel.set(title=item["task"], xlabel=axis, xticks=[])
    panels[0][0].set_ylabel("ROC AUC on id")
    save(drawn, name)


def reuse_by_stage() -> Any:
    """One panel a task: how alike features are before and after fine-tuning, by stage and upstream."""
    from matplotlib import pyplot as plt  # noqa: PLC0415

    found: dict[tuple[str, str], list[dict[str, float | None]]] = {}
    for file in sorted(Path("expectations/embedded/runs").glob("*/*/record.json")):
        record = json.loads(file.read_text())
        spec = record["spec"]
        if (
            spec["backbone"]["architecture"] == "r14x0.5"
            and spec["fraction"] == 1
            and spec["recipe"]["name"] == "embedded"
        ):
            found.setdefault((spec["task"], spec["backbone"]["upstream"]), []).append(record["feature_reuse"])
    tasks = list(dict.fromkeys(task for task, _ in found))
    drawn, panels = plt.subplots(1, len(tasks), figsize=(3.2 * len(tasks), 2.8), sharey=True)
    for panel, task in zip(panels, tasks, strict=True):
        for upstream in UPSTREAMS:
            of_seeds = found[task, upstream]
            means = [fmean(value for of in of_seeds if (value := of[stage]) is not None) for stage in STAGES]
            panel.plot(STAGES, means, "o-", label=upstream)
        panel.set(title=task, ylim=(0, 1.02))
        panel.tick_params(axis="x", rotation=45, labelsize=7)
    panels[0].set_ylabel("linear CKA, before and after")
    panels[0].legend(fontsize=7, loc="lower left")
    return drawn


def save(drawn: Any, name: str) -> None:
    """A figure beside the page."""
    drawn.tight_layout()
    FOLDER.mkdir(exist_ok=True)
    drawn.savefig(FOLDER / name, metadata={"Date": None})


def ladder(item: dict[str, Any]) -> list[tuple[str, list[float]]]:
    """Rungs in the order declared."""
    return [(term, list(of.values())) for term, of in item["samples"].items()]


def learning(item: dict[str, Any]) -> list[tuple[str, list[float]]]:
    """The curve, and the baseline with all patients last."""
    of = item["samples"]
    return [
        (term.removeprefix("with-"), list(of[term].values()))
        for term in (*[t for t in of if t != "baseline"], "baseline")
    ]


HEAD = """\
# Results

Written by `python -m docs.results --images DIR` and not edited. The backbones are small networks of our own, pre-trained
on 2,000 to 50,000 photographs at 32 pixels and fine-tuned at 64 pixels ([recipes.md](recipes.md)). **Nothing here is a
clinical result, and nothing here is a result of the study**: its networks are up to 400 times larger and were pre-trained
on up to 6,000 times as many images. Margins were declared before the first run; verdicts stand as measured.
"""
EMBEDDED = """\
Phantoms ([phantoms.md](phantoms.md)). These numbers show that the benchmark works; they say nothing about patients.
`calibration-ece` and `calibration-ece-tempered` cannot be supported on cohorts of this size, whatever the networks: on
some hundred patients a perfect model shows an error of about the margin, which limits must allow for. They can still
be refuted, and `calibration-nll` and `calibration-brier` ask the same question with power.
"""
FIGURES = """\
![mean AUC by rung of the ladder](results/ladder.svg)

![learning curves of the larger upstream, and the smaller one with all patients](results/learning.svg)

Grey: seeds. Blue: their mean. Generated images.

![linear CKA of features before and after fine-tuning, by stage and upstream](results/reuse.svg)

How much of each stage is reused, of r14x0.5 under the recipe `embedded`, mean over seeds; `feature-reuse` judges `block4`.
Generated images.
"""
TRANSFER = """\
### Why a start at random does so well here

`transfer-gain` is supported on chest films only; on mammograms the gain is open, and on skin it is refuted. It stays so.
What was tried, all on validation and before any claim was judged: sixteen recipes for a start at random and eleven for
the largest upstream, from 150 to 2,400 steps ([recipes.md](recipes.md)); both arms at the budget at which a start at
random reaches its plateau, each with the best of its learning rates; and the short recipe of the tier for both
(`transfer-gain-same-recipe`). At small scale, a quarter of the width and 2,000 images, pre-training loses everywhere
(`transfer-gain-small`). What speaks for itself: phantoms are drawn by few rules, of which a thousand images teach much;
the upstream has seen objects at 32 pixels, not textures; and the networks are small. None of it speaks against the study.
"""
REAL = """\
Reduced copies of public sets, some of them parts, read by `--cohort`. The sets are not in this repository.
"""
PUBLIC = """\
Reduced copies laid out as their publishers do (`docs/laid_out.py`), prepared by `medbench cohort prepare` and opened as
`public:NAME`; and a MedMNIST file opened by its path. One claim, with the small networks of the embedded tier and five
seeds. The sets are not in this repository.
"""
PUBLIC_SOURCES = {
    "pad-ufes-20": "516 of PAD-UFES-20's 2,298 photographs, longest side 256 pixels (Pacheco et al. 2020; CC BY 4.0); five "
    "kinds of lesion.",
    "nih-cxr14": "699 of ChestX-ray14's 112,120 films, 64 pixels (Wang et al., CVPR 2017; NIH Clinical Center). Lists of "
    "training and test are our own, dealt by patient. Only some patients have an edema.",
    "pneumoniamnist": "70 % of PneumoniaMNIST, 28 pixels (Yang et al. 2023; Kermany et al. 2018; CC BY 4.0), in its "
    "official sets; patients are not known there.",
}

if __name__ == "__main__":
    sys.exit(main())
