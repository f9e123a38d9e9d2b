"""Writes docs/published.md: what medbench says of a published table of BiT on chest films.

    python -m docs.published --published DIR

`DIR` holds `cherti2021_padchest_mean_auc.csv`; the page states its source. The table stays outside the
repository.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from medbench.cli import main as medbench

PAGE, SCALES = Path("docs/published.md"), Path("docs/published.yaml")
TABLE = "cherti2021_padchest_mean_auc.csv"
COLUMNS = "backbone=pretrained_model,fraction=shot,seed=seed,value=metric_value"
OPTIONS = ["--columns", COLUMNS, "--backbones", str(SCALES), "--metric", "mean_auc", "--higher-is-better"]
LADDERS = ("natural images", "chest films", "")
QUESTIONS = {
    "scale-data": "Is a larger upstream better at equal architecture?",
    "scale-architecture": "Is a larger architecture better at equal upstream?",
    "interaction": "Does the larger architecture gain more from the larger upstream than the smaller one does?",
}


def main() -> int:
    """Judge the table, then write the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--published", type=Path, required=True, metavar="DIR", help="folder of the table")
    args = parser.parse_args()
    PAGE.write_text(page(judged(args.published / TABLE)), encoding="utf-8")
    return 0


def judged(table: Path) -> dict[str, Any]:
    """What `medbench judge` writes of the table; that some claims are refuted is no reason to stop."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out.json"
        status = medbench(["judge", "--results", str(table), *OPTIONS, "--json", str(out)])
        if status > 1:
            raise SystemExit(status)
        return json.loads(out.read_text(encoding="utf-8"))


def page(report: dict[str, Any]) -> str:
    """The whole page."""
    amounts = list(dict.fromkeys(claim["amount"] for claim in report["claims"]))
    parts = [HEAD, about(report), "## At a glance\n", glance(report["claims"], amounts)]
    for claim, question in QUESTIONS.items():
        parts += [f"## {claim}\n", question + "\n"]
        parts.append(details([found for found in report["claims"] if found["claim"] == claim]))
    parts += ["## data-efficiency\n", EFFICIENCY, efficiency(report["claims"]), TAIL]
    return "\n".join(parts)


def about(report: dict[str, Any]) -> str:
    """What was judged and how."""
    counts = report["counts"]
    notes = "".join(f" {note[0].upper()}{note[1:]}." for note in report["notes"])
    return (
        f"{report['rows']} rows.{notes} Margin {report['margin']:g} AUC, one-sided level {report['level']:g}; "
        f"{counts['judged']} questions judged: {counts['supported']} supported, {counts['refuted']} refuted, "
        f"{counts['inconclusive']} inconclusive; {counts['missing']} without a verdict.\n\n{report['scope']}\n"
    )


def glance(claims: list[dict[str, Any]], amounts: list[str]) -> str:
    """Verdicts by comparison and amount of training data."""
    found = {(c["claim"], c["ladder"], c["comparison"], c["amount"]): c for c in claims}
    rows = dict.fromkeys(key[:3] for key in found if key[0] in QUESTIONS)
    lines = [f"| question | comparison | {' | '.join(amounts)} |", "| --- " * (2 + len(amounts)) + "|"]
    for row in sorted(rows, key=lambda row: (list(QUESTIONS).index(row[0]), LADDERS.index(row[1]))):
        verdicts = [found[*row, amount]["verdict"] or "missing" for amount in amounts]
        lines.append(f"| {row[0]} | {row[2]} | {' | '.join(verdicts)} |")
    return "\n".join(lines) + "\n"


def details(claims: list[dict[str, Any]]) -> str:
    """One row a comparison and amount."""
    lines = [
        "| comparison | data | effect, 90 % interval | verdict | p, Holm | seeds |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    lines += [
        f"| {claim['comparison']} | {claim['amount']} | {interval(claim['effect'])} | {claim['verdict']} "
        f"| {p_value(claim['p_holm'])} | {seeds(claim)} |"
        for claim in claims
    ]
    return "\n".join(lines) + "\n"


def interval(effect: dict[str, float]) -> str:
    """Four decimals: the spread between seeds is below .001 in places."""
    return f"{effect['value']:+.4f} [{effect['low']:+.4f}, {effect['high']:+.4f}]"


def p_value(p: float) -> str:
    """Three decimals."""
    return "<.001" if p < 0.001 else f"{p:.3f}"


def seeds(claim: dict[str, Any]) -> str:
    """`5 paired`, or the range where arms have not the same number."""
    numbers = sorted({len(term["values"]) for term in claim["terms"]})
    return f"{'–'.join(map(str, numbers))} {claim['pairing']}"


def efficiency(claims: list[dict[str, Any]]) -> str:
    """Between which amounts the larger backbone reaches the smaller one's score on all data."""
    lines = ["| smaller → larger | reached | verdict |", "| --- | --- | --- |"]
    for claim in claims:
        if claim["claim"] == "data-efficiency":
            matched = claim["matched"]
            words = [reached(matched[key]) for key in ("estimate", "earliest", "latest")]
            limits = f" (by the limits {words[1]}; {words[2]})" if len(set(words)) > 1 else ""
            verdict = claim["verdict"] or "none: the share is not known"
            lines.append(f"| {claim['comparison']} | {words[0]}{limits} | {verdict} |")
    return "\n".join(lines) + "\n"


def reached(reach: dict[str, Any]) -> str:
    """Between which amounts."""
    if reach["by"] is None:
        return f"not with {reach['after']}"
    return f"between {reach['after']} and {reach['by']}" if reach["after"] else f"with {reach['by']} already"


HEAD = f"""\
# A published table, judged

Written by `python -m docs.published --published DIR` and not edited; by hand it is

    medbench judge --results DIR/{TABLE} \\
      --columns {COLUMNS} \\
      --backbones docs/published.yaml --metric mean_auc --higher-is-better

The table: fine-tuning results on PadChest (27 labels, mean AUC on the test set) of BiT R50x1 and R152x4 pre-trained on
ImageNet-1k, ImageNet-21k and chest films, at 1, 5, 10 and 100 shots and in full, up to five seeds. Source: M. Cherti,
J. Jitsev, "Effect of large-scale pre-training on full and few-shot transfer learning for natural and medical images",
arXiv 2106.00116, github.com/SLAMPAI/large-scale-pretraining-transfer, results/. MIT licence, copyright 2021 Mehdi Cherti
and Jenia Jitsev. The table is not in this repository.

These are not the weights that Google released: the authors pre-trained their own, at 224 pixels. Nor are they results of
the study that medbench encodes: mammography and dermatology are not in the table. Upstream and architecture of each
backbone, and the order of scale, are declared in [published.yaml](published.yaml). The margin is medbench's default and
was set before the table was judged; verdicts stand as they came out. How they come about:
[other-results.md](other-results.md).

The authors' own summary, in the abstract of May 2021: improvement by larger pre-training "on larger X-Ray targets in
full shot regime, while for smaller targets and few-shot regime the improvement is not visible".
"""
EFFICIENCY = """\
With how much data does the larger backbone reach the score that the smaller one has on all data? The claim is: with at
most 60 %. The table does not say how many images all data are, so between `100_shot` and `full_shot` no share can be
given; a verdict is possible only where all data are not enough.
"""
TAIL = """\
Not asked here: whether an upstream of chest films is better than one of photographs. They stand on different ladders,
because neither is the larger of the two in one and the same kind.
"""

if __name__ == "__main__":
    sys.exit(main())
