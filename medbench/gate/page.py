"""The page of docs/ about the gate, written from what was measured; figures are never typed by hand."""

from collections.abc import Iterable, Sequence

from medbench.expect import SAFETY
from medbench.gate import bars, coverage, nights, rates, scarce, watch, worlds
from medbench.gate.measured import (
    Certificate,
    Conditional,
    Coverage,
    Detection,
    GateReport,
    Rate,
    Shape,
    Tails,
)
from medbench.stats.prediction import SINGLE_FREEDOM


def page(result: GateReport) -> str:
    """Markdown, the same for the same figures."""
    return "\n".join(
        [
            *_head(result),
            *_unchanged(result),
            *_normality(result),
            *_values(result),
            *_other_seeds(result),
            *_predictions(result),
            *_intervals(result),
            *_tiny(result),
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
            f"{result.nights:,} unchanged nights of each kind and family of worlds, of a suite of "
            f"{_suite(result.shape)}. Brackets are Clopper-Pearson 95 % intervals of the simulation."
        ),
        "",
    ]
    if result.quick:
        return [*lines, "A glance (`--quick`): too little to hold the gate to anything or certify intervals."]
    rows = [[bar.what, bar.wanted, bar.measured, "yes" if bar.met else "**no**"] for bar in result.bars]
    return [
        *lines,
        "## What it is held to",
        "The command's exit status is 0 if all of these are met, else 1.",
        "",
        *table(["", "wanted", "measured", "met"], rows),
    ]


def _suite(shape: Shape) -> str:
    """What was simulated, in words."""
    rest = f" ({shape.left_out} accepted items are left out: {_LEFT_OUT})" if shape.left_out else ""
    return (
        f"{shape.items} items on {shape.tasks} tasks, {shape.runs} arms of {shape.seeds} accepted seeds, "
        f"{shape.scores} scores by {_count(shape.metrics, 'metric')}{rest}"
    )


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number > 1)}"


_LEFT_OUT = f"on other devices than {worlds.DEVICE}, or of one seed"


def _night(night: str, shape: Shape) -> str:
    return f"{shape.seeds} new seeds" if night == "new seeds" else night


def _unchanged(result: GateReport) -> list[str]:
    rows = [
        [of.worlds, _night(of.night, result.shape), _percent(of), "yes" if of.counted else "no"]
        for of in result.false_alarm.by
    ]
    return [
        "",
        "## Nights in which nothing changed",
        (
            "Any alarm over the whole suite (a band left, a verdict flipped, a value vanished), designed "
            f"for {result.false_alarm.designed:.0%}. Each night is in a world, and on an accepted set, of "
            "its own. The headline is the worst kind of night of the families of worlds that count."
        ),
        "",
        *table(["worlds", "night", "nights with an alarm", "counts"], rows),
        "",
        (
            f"With the same seeds all {result.shape.values:,} accepted values are measured anew on another "
            f"machine, each within the numeric tolerance of its metric: {SAFETY} times the largest of some "
            f"{nights.CALIBRATED_VALUES} calibrated differences, however many values are held to it. Bands "
            "for new seeds share one level over the suite, this tolerance does not: the more values, the "
            "likelier one of them is so far out, if noise has the tails that it is given here. Such nights "
            "are those of `--runs=force`, of all accepted seeds. A usual night measures the values of the "
            "sentinels alone, and loads the rest."
        ),
        "",
        (
            f"And on one accepted set week after week, with {result.shape.seeds} new seeds each time. An "
            "accepted mean that lies far out by chance, or seeds that happen to lie close together, alarm "
            "more often than designed: that is the price of few accepted seeds, and an accepted set that "
            "keeps alarming without a cause should be accepted anew."
        ),
        "",
        *table(
            ["worlds", "accepted sets", "median rate", "worst decile", "sets above 10 %"],
            [_conditional(of) for of in result.conditional],
        ),
    ]


def _normality(result: GateReport) -> list[str]:
    """What the promise rests on, and what the stored seeds say of it."""
    heavy = {of.night: of for of in result.false_alarm.by if of.worlds == "heavy"}
    kept = max(of.rate for of in heavy.values()) <= bars.HIGHEST_RATE
    lines = [
        "",
        "### What the promise rests on",
        (
            "Bands of means take an arm's seeds for normal about their mean, and a mean of several is nearly "
            "so whatever they are. A seed by itself, the only new one or one of several, is held to a "
            f"quantile so far out that tails decide; its band is that of t with {SINGLE_FREEDOM} degrees of "
            "freedom at most. The `heavy` worlds have what the rule does not assume: deviations that are "
            "log-normal between arms and as wide apart as those seen, seeds with a t distribution of "
            f"{worlds.TAIL} degrees of freedom and the same variance, and one run in "
            f"{1 / worlds.BAD:.0f} that deviates {worlds.WORSE} times as far. There "
            f"{_percent(heavy['one new seed'])} of nights with one new seed alarm, and "
            f"{_percent(heavy['new seeds'])} of those with {result.shape.seeds}: "
            + (
                f"the promise of {bars.HIGHEST_RATE:.0%} does not need normal seeds."
                if kept
                else f"the promise of {bars.HIGHEST_RATE:.0%} is one for normal seeds."
            )
        ),
    ]
    tails = result.tails
    if tails is None:
        return [*lines, "", "Accepted seeds are too few to tell how heavy their own tails are."]
    return [
        *lines,
        "",
        (
            "Excess kurtosis of the accepted seeds about the mean of their arm, averaged over arms and sets: "
            f"{tails.stored:+.2f}. Of simulated suites of this shape with normal seeds, 95 % have "
            f"{tails.normal[0]:+.2f} to {tails.normal[1]:+.2f}; with the heavy tails above, "
            f"{tails.heavy[0]:+.2f} to {tails.heavy[1]:+.2f}, and {tails.told:.0%} of them lie above the "
            f"normal ones. The stored seeds {_denied(tails)}. The heavy worlds count for the headline only "
            "if seeds deny that they are normal. Metrics of a run are simulated as if they were of different "
            "seeds, so that these ranges are too narrow and `deny` is said too easily."
        ),
    ]


def _denied(tails: Tails) -> str:
    if tails.normal_denied:
        return "deny that they are normal"
    if tails.heavy_denied:
        return "are as normal ones would be, and deny tails as heavy as these"
    return "do not deny that they are normal, nor could so few deny tails as heavy as these"


def _values(result: GateReport) -> list[str]:
    """Falls of the area by size, night and arms."""
    detections, rows = result.detection, []
    tolerance = f"{result.shape.tolerance:.4f}".lstrip("0")
    for family in rates.WORLDS:
        for change, size in dict.fromkeys((d.change, d.size) for d in _of_values(detections)):
            for arms in rates.ARMS_HIT:
                found = {
                    d.night: d
                    for d in _of_values(detections)
                    if (d.change, d.size, d.arms, d.worlds) == (change, size, arms, family)
                }
                cells = [_percent(found[night]) if night in found else "" for night in rates.NIGHTS]
                rows.append([family, change, f"{size:g}", arms, *cells])
    return [
        "",
        "## What it catches: an area that fell",
        (
            f"One of the items that are a gain of two arms on {worlds.METRIC} ({_areas(result.shape)}) "
            "falls, in the treatment alone or in both arms; caught is a night in which that item is red. In "
            "worlds of the grid a seed's deviation may be smaller than the numeric "
            f"tolerance, {tolerance}, below which nothing alarms, or so large that .05 is nothing."
        ),
        "",
        *table(
            ["worlds", "fall", "size", "of", *(_night(night, result.shape) for night in rates.NIGHTS)], rows
        ),
    ]


def _other_seeds(result: GateReport) -> list[str]:
    shape = result.shape
    of_seeds = [d for d in result.detection if d.night not in rates.NIGHTS and d.change == "seed deviations"]
    # As the suite has them last; 5 before 10.
    of_seeds.sort(key=lambda d: ("others" in d.night, [int(w) for w in d.night.split() if w.isdigit()]))
    rows = [[d.night, _percent(d)] for d in of_seeds]
    most = "; ".join(f"{power:.1%} of {seeds}" for seeds, power in result.oracle.items())
    return [
        "",
        "### Three deviations of one arm, and what it would take",
        (
            f"At {result.false_alarm.designed:.0%} over {shape.bands} bands, even a gate that knew every "
            f"arm's true deviation would catch {most}. One new seed can never do. Deviations differ between "
            "arms and are known from few seeds, which costs the rest. How many seeds it takes, in suites of "
            "this shape but with so many seeds for all items:"
        ),
        "",
        *table(["seeds", "caught (one arm, worlds like the stored runs)"], rows),
        "",
        (
            f"The suite as it is has {_areas(shape)} among the items that fall; what is caught of all of "
            "them lies between. "
            "The more bands share the level, the wider each is: seeds that suffice for a small suite do not "
            "for a large one."
        ),
    ]


def _predictions(result: GateReport) -> list[str]:
    metrics = ("roc_auc", "brier", "nll")
    of_runs = [d for d in result.detection if d.worlds == "stored runs"]
    rows = []
    for night in ("same seeds", "new seeds"):
        for change, size in dict.fromkeys((d.change, d.size) for d in of_runs):
            found = {d.metric: d for d in of_runs if (d.change, d.size, d.night) == (change, size, night)}
            cells = [_percent(found[metric]) for metric in metrics]
            new = f"{result.shape.most_seeds} new seeds"
            rows.append([new if night == "new seeds" else night, change, f"{size:g}", *cells])
    return [
        "",
        "## What it catches: changed predictions",
        (
            "Made of the predictions of the stored runs, judged and checked in full: of the items that are a "
            f"gain of two arms on {worlds.METRIC}, those of {result.shape.most_seeds} seeds, all by one "
            "metric at a time. (Fewer do not tell how logits scatter: those of a few nets that were not "
            "pre-trained, mixed anew, give areas several times as far apart.) The rest of the suite is as it "
            "was accepted, so that the level is shared over its bands too. The sub-group's, the broken "
            "seed's and the test set's predictions are permuted; labels and temperatures change for both "
            "arms. A drift of calibration leaves ranks as they are, but for a little where one of many "
            "classes is true, so that items on the area hardly see it: those on Brier or NLL do."
        ),
        "",
        *table(["night", "change", "size", "roc_auc items", "brier items", "nll items"], rows),
    ]


def _intervals(result: GateReport) -> list[str]:
    cells = result.coverage
    names = [certificate.metric for certificate in result.certificates]
    yes = [certificate.metric for certificate in result.certificates if certificate.certified]
    lines = [
        "",
        "## Whether intervals hold",
        (
            "A metric is *certified* if its nominal 95 % intervals hold the truth in at least "
            f"{coverage.PROMISED:.0%} of studies in every cell with at least {coverage.FEWEST_SEEDS} seeds, "
            f"{coverage.FEWEST_PATIENTS} patients and {coverage.FEWEST_POSITIVE} patients of either class, "
            "and if in all these cells of a number of seeds together the lower limit of that share is not "
            f"below {coverage.PROMISED:.0%} either, so that it is no luck. The lowest cell is the smallest "
            "of several, and low by chance too. `delta` is the paired difference between two arms, which "
            "is what claims are judged on. Below three seeds nothing is promised: one seed knows nothing "
            "of the noise of training, and medbench draws no verdict from it."
        ),
        "",
    ]
    if not result.quick:
        lines += [
            f"Certified: {_names(yes)}. Not: {_names(n for n in names if n not in yes)}.",
            "",
            *table(
                [
                    "metric",
                    "lowest cell",
                    "standard error",
                    "of cells",
                    *(f"together, {s} seeds" for s in _TOGETHER),
                ],
                [_certificate(c) for c in result.certificates if len(c.together) == len(_TOGETHER)],
            ),
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
        lines += table(["", *(f"{p:,} patients" for p in patients)], rows)
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
            *table(
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


def _tiny(result: GateReport) -> list[str]:
    if not result.scarce:
        return []
    return [
        "",
        "## Never for want of data",
        (
            "Cohorts of a few patients whose true effect is the margin itself, so that no claim holds and "
            "each is wrongly supported in 5 of 100 by design: arms apart in everything, arms near the "
            "metric's ceiling, seeds that differ much, and arms that agree on all patients but one in 25, "
            "and arms of which half the loss shows in one patient of a hundred. Fewer than ten patients of a "
            "class are never judged, and resampled metrics need twenty. "
            "Judged by medbench itself; how it takes care is told in [judging.md](judging.md)."
        ),
        "",
        *scarce.table(result.scarce),
    ]


def _how(result: GateReport) -> list[str]:
    short, shape = result.shortcut, result.shape
    return [
        "",
        "## How nights are simulated",
        (
            f"- All worlds have the shape of the accepted suite: {_suite(shape)}. Its effects: "
            f"{', '.join(f'{kind} {count}' for kind, count in shape.effects.items())}. A score is one metric "
            "of an arm's runs on one evaluation set; items that have it in common have the same values, and "
            "one of fewer seeds the first of them. Each night has as many new seeds as were accepted, or one."
        ),
        (
            f"- Evaluation sets of a run share {shape.shared:.2f} of the variance between seeds, the mean "
            "correlation of accepted ones by one metric. Metrics of a run are drawn independently of each "
            "other. In truth they move together, so that alarms come together too: nights with any are more "
            "frequent here than they are in truth, and not fewer."
        ),
        (
            "- Worlds like the stored runs: means, and noise of patients, of the accepted items, each by its "
            "own metric, effect and predicate; each arm's deviation between seeds is drawn from what the "
            "accepted seeds leave open about that of a random arm by the same metric (scaled inverse "
            "chi-square, as the rule assumes), seeds are normal. Values that come in steps, such as numbers "
            "of training steps, have none here."
        ),
        (
            "- Not simulated: the verdict of an effect that is no weighted sum of its arms (`data-saved`), "
            "whose bands are; what patients that were not drawn may cost, and the noise floor of folded "
            "metrics, which make verdicts inconclusive and alarms no more frequent."
        ),
        (
            "- Worlds with heavy tails: the same, but deviations and seeds as said above, under *What the "
            "promise rests on*."
        ),
        (
            "- Worlds of the grid: all scores are areas, whatever metric they are of in the suite, and all "
            "claims of superiority; area .6 to .99, prevalence 2 to 50 %, 100 "
            f"to 5,000 patients (at least {coverage.FEWEST_POSITIVE} with the finding), clusters of 1 to 20 "
            "images with a correlation of 0 to .8, normal noise of seeds 0 to 2 times that of patients by "
            "run, values tied where test sets are small."
        ),
        (
            "- Same seeds on another machine: each night is on a machine of a row of "
            "`expectations/numeric.yaml`; values move by a t distribution with "
            f"{nights.TAIL} degrees of freedom whose largest of {nights.CALIBRATED_VALUES} has that row's "
            "difference as its median, whatever the set. Metrics that it lacks do not move. Rows of "
            "sub-groups and of what is known of a run as a whole rest on 2 to 12 values, so that these "
            "metrics move more than they do here."
        ),
        (
            "- Values are drawn. The rule of bands, computed for all items at once, says which of them come "
            f"within {1 - watch.NEAR:.0%} of a limit or have passed a margin; from there on medbench's own "
            "functions run: limits, predicate, check, policy. Held against nights judged from full "
            f"predictions, {short['items']:.0f} items with new seeds: equal alarms in "
            f"{short['same alarm']:.1%}, equal verdicts in {short['same verdict']:.1%} (the shortcut knows "
            "the variance over patients from the accepted "
            "runs, the full judgement takes the night's own)."
        ),
        (
            "- Studies of coverage are drawn from binormal populations over the same grid, with at most "
            f"{coverage.MOST_IMAGES:,} images or one image a patient, seeds moving the separation of the "
            f"classes by at most {coverage.LARGEST_SPREAD:g}; their truth is computed by quadrature, for "
            "other metrics by simulation."
        ),
    ]


def _areas(shape: Shape) -> str:
    """How many items areas fall in, by seeds."""
    return ", ".join(f"{items} of {seeds} seeds" for seeds, items in shape.areas.items())


def _of_values(detections: Iterable[Detection]) -> list[Detection]:
    return [d for d in detections if d.worlds in rates.WORLDS and d.night in rates.NIGHTS]


def _conditional(of: Conditional) -> list[str]:
    return [of.worlds, f"{of.sets}", f"{of.median:.1%}", f"{of.worst_decile:.1%}", _percent(of.above)]


_TOGETHER = tuple(seeds for seeds in coverage.SEEDS if seeds >= coverage.FEWEST_SEEDS)


def _certificate(of: Certificate) -> list[str]:
    assert of.lowest is not None
    where = f"{of.lowest.n_patients:,} patients, {of.lowest.n_seeds} seeds"
    return [
        f"`{of.metric}`",
        f"{_percent(of.lowest)} ({where})",
        f"{of.error:.2%}",
        str(of.cells),
        *(_percent(of.together[seeds]) for seeds in _TOGETHER),
    ]


def _names(metrics: Iterable[str]) -> str:
    return ", ".join(f"`{metric}`" for metric in metrics) or "none"


def _cell(cell: Coverage) -> str:
    return f"{cell.rate:.1%} ({cell.width_of_oracle:.2f})"


def _percent(found: Rate | Coverage) -> str:
    return f"{found.rate:.1%} [{found.low:.1%}, {found.high:.1%}]"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """The lines of a table in Markdown."""
    return [f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows)]
