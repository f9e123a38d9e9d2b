"""The page of docs/ about the gate, written from what was measured; figures are never typed by hand."""

from collections.abc import Iterable, Sequence

from medbench.gate import coverage, rates
from medbench.gate.report import Conditional, Coverage, Detection, GateReport, Rate
from medbench.gate.worlds import SHARED

NIGHTS = {"same seeds": "same seeds", "new seeds": "five new seeds", "one new seed": "one new seed"}


def page(result: GateReport) -> str:
    """Markdown, the same for the same figures."""
    return "\n".join(
        [
            *_head(result),
            *_unchanged(result),
            *_values(result.detection),
            *_more_seeds(result),
            *_predictions(result.detection),
            *_intervals(result.coverage),
            *_how(result),
            "",
        ]
    )


def _head(result: GateReport) -> list[str]:
    lines = [
        "# The gate, measured",
        "",
        (
            f"Written by `medbench validate-gate --write docs/gate.md`; do not edit. {result.date}, commit "
            f"{result.commit[:12]}, {result.machine}, {result.seconds:.0f} s; seed {result.seed}, "
            f"{result.nights:,} unchanged nights of each kind and family of worlds. Brackets are "
            "Clopper-Pearson 95 % intervals of the simulation."
        ),
        "",
        "## What it is held to",
    ]
    rows = [[bar.what, bar.wanted, bar.measured, "yes" if bar.met else "**no**"] for bar in result.bars]
    return lines + _table(["", "wanted", "measured", "met"], rows)


def _unchanged(result: GateReport) -> list[str]:
    rows = [[of.worlds, NIGHTS[of.night], _percent(of)] for of in result.false_alarm.by]
    return [
        "",
        "## Nights in which nothing changed",
        (
            "Any alarm over the whole suite (a band left, a verdict flipped, a value vanished), designed "
            f"for {result.false_alarm.designed:.0%}. Each night is in a world, and on an accepted set, of "
            "its own."
        ),
        "",
        *_table(["worlds", "night", "nights with an alarm"], rows),
        "",
        (
            "And on one accepted set week after week, with five new seeds each time. An accepted mean that "
            "lies far out by chance, or seeds that happen to lie close together, alarm more often than "
            "designed: that is the price of five accepted seeds, and an accepted set that keeps alarming "
            "without a cause should be accepted anew."
        ),
        "",
        *_table(
            ["worlds", "accepted sets", "median rate", "worst decile", "sets above 10 %"],
            [_conditional(of) for of in result.conditional],
        ),
    ]


def _values(detections: Sequence[Detection]) -> list[str]:
    """Falls of the area by size, night and arms."""
    rows = []
    for worlds in ("stored", "grid"):
        for change, size in dict.fromkeys((d.change, d.size) for d in _of_values(detections)):
            for arms in rates.ARMS_HIT:
                found = {
                    d.night: d
                    for d in _of_values(detections)
                    if (d.change, d.size, d.arms, d.worlds) == (change, size, arms, worlds)
                }
                cells = [_percent(found[night]) if night in found else "" for night in NIGHTS]
                rows.append([worlds, change, f"{size:g}", arms, *cells])
    return [
        "",
        "## What it catches: an area that fell",
        (
            "One item at random falls, in the treatment alone or in both arms; caught is a night in which "
            "that item is red. In worlds of the grid a seed's deviation may be smaller than the numeric "
            "tolerance, .0026, below which nothing alarms, or so large that .05 is nothing."
        ),
        "",
        *_table(["worlds", "fall", "size", "of", *NIGHTS.values()], rows),
    ]


def _more_seeds(result: GateReport) -> list[str]:
    rows = [
        [d.night, _percent(d)]
        for d in result.detection
        if d.night not in NIGHTS and d.change == "seed deviations"
    ]
    known, one = (f"{result.oracle[f'{k} new']:.1%}" for k in (rates.SEEDS, 1))
    return [
        "",
        "### Three deviations of one arm, and what it would take",
        (
            f"At 4 % over 18 bands, even a gate that knew every arm's true deviation would catch {known} "
            f"with five accepted and five new seeds, and {one} with one new seed: one new seed can never "
            "do. Deviations differ between arms and are known from few seeds, which costs the rest. More "
            "seeds bring it back:"
        ),
        "",
        *_table(["seeds", "caught (one arm, worlds like the stored runs)"], rows),
    ]


def _predictions(detections: Sequence[Detection]) -> list[str]:
    metrics = ("roc_auc", "brier", "nll")
    of_runs = [d for d in detections if d.worlds == "stored runs"]
    rows = []
    for night in ("same seeds", "new seeds"):
        for change, size in dict.fromkeys((d.change, d.size) for d in of_runs):
            found = {d.metric: d for d in of_runs if (d.change, d.size, d.night) == (change, size, night)}
            cells = [_percent(found[metric]) for metric in metrics]
            rows.append([NIGHTS[night], change, f"{size:g}", *cells])
    return [
        "",
        "## What it catches: changed predictions",
        (
            "Made of the predictions of the 30 stored runs, judged and checked in full; the suite has nine "
            "items of one metric. The sub-group's, the broken seed's and the test set's predictions are "
            "permuted; labels and temperatures change for both arms. A drift of calibration leaves ranks "
            "as they are, so no item on the area can see it: claims on Brier or NLL do."
        ),
        "",
        *_table(["night", "change", "size", "roc_auc items", "brier items", "nll items"], rows),
    ]


def _intervals(cells: Sequence[Coverage]) -> list[str]:
    names = list(dict.fromkeys(c.metric for c in cells))
    yes = [name for name in names if any(c.certified for c in cells if c.metric == name)]
    lines = [
        "",
        "## Whether intervals hold",
        (
            "A metric is *certified* if its nominal 95 % intervals hold the truth in at least "
            f"{coverage.PROMISED:.0%} of studies in every cell with at least {coverage.FEWEST_SEEDS} seeds, "
            f"{coverage.FEWEST_PATIENTS} patients and {coverage.FEWEST_POSITIVE} patients of either class. "
            "`delta` is the paired difference between two arms, which is what claims are judged on. Below "
            "three seeds nothing is promised: one seed knows nothing of the noise of training, and "
            "medbench draws no verdict from it."
        ),
        "",
        f"Certified: {_names(yes)}. Not: {_names(n for n in names if n not in yes)}.",
    ]
    smooth = [n for n in names if n.removeprefix("delta ") in coverage.SMOOTH]
    for name in smooth:
        lines += [
            "",
            f"`{name}`, share of nominal 95 % intervals that hold the truth (and width over the oracle's)",
            "",
        ]
        found = {(c.n_patients, c.n_seeds): c for c in cells if c.metric == name}
        patients = sorted({p for p, _ in found})
        rows = [
            [f"{s} seed{'s' * (s > 1)}", *(_cell(found[p, s]) for p in patients)]
            for s in sorted({s for _, s in found})
        ]
        lines += _table(["", *(f"{p:,} patients" for p in patients)], rows)
    others = [c for c in cells if c.metric not in smooth]
    if others:
        lines += [
            "",
            (
                f"Other metrics, by {coverage.REPLICATES} replicates of the patients (medbench takes 1,000), "
                "in two populations with 30 % positive and two images a patient, and with three seeds alone: "
                "too little to certify any, whatever the rate."
            ),
            "",
            *_table(
                [
                    "metric",
                    "certified",
                    "patients",
                    "seeds",
                    "nominal 95 %",
                    "printed 90 %",
                    "width over oracle's",
                ],
                [
                    [
                        c.metric,
                        "yes" if c.certified else "no",
                        f"{c.n_patients:,}",
                        str(c.n_seeds),
                        f"{c.rate:.1%} [{c.low:.1%}, {c.high:.1%}] of {c.studies:,}",
                        f"{c.rate_90:.1%}",
                        f"{c.width_of_oracle:.2f}",
                    ]
                    for c in others
                ],
            ),
        ]
    return lines


def _how(result: GateReport) -> list[str]:
    short = result.shortcut
    return [
        "",
        "## How nights are simulated",
        (
            "- Worlds like the stored runs: means, and noise of patients, of the nine accepted items; each "
            "arm's deviation between seeds is drawn from what five accepted seeds leave open about that of "
            f"a random arm (scaled inverse chi-square), {SHARED:g} of its variance shared by the evaluation "
            "sets of a run, as the stored runs have it."
        ),
        (
            "- Worlds of the grid: area .6 to .99, prevalence 2 to 50 %, 100 to 5,000 patients (at least "
            f"{coverage.FEWEST_POSITIVE} with the finding), clusters of 1 to 20 images with a correlation "
            "of 0 to .8, noise of seeds 0 to 2 times that of patients by run, values tied where test sets "
            "are small."
        ),
        (
            "- Same seeds on another machine: each night is on a machine of a row of "
            "`expectations/numeric.yaml`; values move by a t distribution with five degrees of freedom "
            "whose largest of 90 has that row's difference as its median."
        ),
        (
            "- Values are drawn, and from there on medbench's own functions run: limits, predicate, check, "
            f"policy. Held against nights judged from full predictions, {short['items']:.0f} items with new "
            f"seeds: equal alarms in {short['same alarm']:.1%}, equal verdicts in "
            f"{short['same verdict']:.1%} (the shortcut knows the variance over patients from the accepted "
            "runs, the full judgement takes the night's own)."
        ),
        (
            "- Studies of coverage are drawn from binormal populations over the same grid, with at most "
            f"{coverage.MOST_IMAGES:,} images or one image a patient, seeds moving the separation of the "
            f"classes by at most {coverage.LARGEST_SPREAD:g}; their truth is computed by quadrature, for "
            "other metrics by simulation."
        ),
    ]


def _of_values(detections: Iterable[Detection]) -> list[Detection]:
    return [d for d in detections if d.worlds in {"stored", "grid"} and d.night in NIGHTS]


def _conditional(of: Conditional) -> list[str]:
    return [of.worlds, f"{of.sets}", f"{of.median:.1%}", f"{of.worst_decile:.1%}", _percent(of.above)]


def _names(metrics: Iterable[str]) -> str:
    return ", ".join(f"`{metric}`" for metric in metrics) or "none"


def _cell(cell: Coverage) -> str:
    return f"{cell.rate:.1%} ({cell.width_of_oracle:.2f})"


def _percent(found: Rate) -> str:
    return f"{found.rate:.1%} [{found.low:.1%}, {found.high:.1%}]"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows)]
