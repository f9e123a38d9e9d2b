"""The page of docs/ about planted worlds, written from what was judged; figures are never typed by hand."""

from collections.abc import Iterable, Sequence

from medbench.gate import claim_worlds as worlds
from medbench.gate.claim_report import LEAST, CellReport, ClaimReport, Miss, PlantReport, Reaction
from medbench.gate.page import table
from medbench.spec.effects import BASELINE, TREATMENT

VERDICTS = ("supported", "inconclusive", "refuted", "undefined")
_TOO_FEW = (
    " Inconclusive twice in all of them: so few patients show neither that the claim holds without the "
    "plant, nor that it does not with it."
)


def page(result: ClaimReport) -> str:
    """Markdown, the same for the same figures."""
    return "\n".join(
        [
            *_head(result),
            *_outcome(result),
            *_world(result),
            *(line for plant in result.plants for line in _plant(plant, result.tasks)),
            *_intervals(result),
            *_verdicts(result),
            *_silent(result),
            *_not_planted(result),
            "",
        ]
    )


def _head(result: ClaimReport) -> list[str]:
    return [
        "# Planted worlds",
        "",
        (
            f"Written by `medbench validate-claims --write docs/planted.md`; do not edit. {result.date}, "
            f"commit {result.commit[:12]}, {result.machine}, {result.seconds / 60:.0f} min; worlds "
            f"{result.first} to {result.first + result.worlds - 1} of each task."
        ),
        "",
        (
            "**All of it is generated**: the patients and labels are those of the phantoms, and the scores "
            "of both arms are drawn at random. It tells how medbench judges, and nothing of any backbone "
            "or patient."
        ),
        "",
        (
            "Does a claim notice what it is about, and nothing else? Runs are simulated, harm is planted "
            "in the treatment, and `medbench.judge` judges them as it judges trained ones. Which claims "
            "must, may and must not react is declared in `medbench/gate/matrix.yaml`, before worlds are "
            "judged (`git log medbench/gate/matrix.yaml docs/planted.md`); a claim that is added to the "
            "suite is refused until it is declared there too."
        ),
        *(["", result.earlier] if result.earlier else []),
    ]


def _outcome(result: ClaimReport) -> list[str]:
    rows = []
    for plant in result.plants:
        for expected in ("must", "must-not", "may"):
            items = [item for cell in plant.cells if cell.expected == expected for item in cell.items]
            reacted, of = sum(item.reacted for item in items), sum(item.worlds for item in items)
            held = sum(item.held for item in items)
            verdict = "" if expected == "may" else f"{held} of {len(items)}"
            rows.append([plant.plant, expected, str(len(items)), f"{reacted:,} of {of:,}", verdict])
    failed = [(cell, item) for cell in result.cells for item in cell.items if not item.held]
    return [
        "",
        "## What came out",
        (
            "An item (a claim on an evaluation set, or an attribute, of a task) that must react holds if "
            f"it does in at least {LEAST:.0%} of worlds, {_least(result.worlds)} of {result.worlds}; one "
            "that must not, if its verdict and its effect are the same in all, but for rounding (or what "
            "is said below). The command's exit status is 0 if all hold, else 1."
        ),
        "",
        *table(["plant", "expected", "items", "reacted, of worlds of items", "items as declared"], rows),
        "",
        *(
            ["Everything came out as declared."]
            if not failed
            else ["Not as declared:", "", *(_failure(cell, item) for cell, item in failed)]
        ),
    ]


def _failure(cell: CellReport, item: Reaction) -> str:
    moved = (
        f", its effect moved by up to {item.most:.2g}" if cell.expected == "must-not" and item.most else ""
    )
    twice = cell.expected == "must" and all(
        miss.before == miss.after == "inconclusive" for miss in item.missed
    )
    return (
        f"- `{item.item}`, {cell.plant}, {cell.expected} react: reacted in {_count(item)}{moved}; verdicts "
        f"were {_spoken(item.before)}, and became {_spoken(item.after)}. Worlds in which it did otherwise, "
        f"with the effect in the planted one: {'; '.join(_missed(miss) for miss in item.missed)}."
        + (_TOO_FEW if twice else "")
    )


def _missed(miss: Miss) -> str:
    effect = miss.effect
    interval = (
        "undefined" if effect is None else f"{effect.value:+.3f} [{effect.low:+.3f}, {effect.high:+.3f}]"
    )
    return f"{miss.world}, {miss.before} to {miss.after}, {interval}"


def _world(result: ClaimReport) -> list[str]:
    home, shifts = worlds.AT_HOME, worlds.ON_SHIFTS
    return [
        "",
        "## What a planted world is",
        (
            f"For each of {', '.join(result.tasks)} the rows of the phantoms: patients, images, labels and "
            "attributes of validation, `id` and each shift; no image is drawn. On them the logits of both "
            f"arms, baseline and treatment, are drawn, {result.seeds} seeds each. They are those of every "
            "claim that compares two arms, whatever its backbones and recipes are. Each label has a score "
            "with unit variance and a mean that depends on the finding, so that the ROC area of that score "
            f"among images is {home[BASELINE]:g} (baseline) and {home[TREATMENT]:g} (treatment) at home, "
            f"{shifts[BASELINE]:g} and {shifts[TREATMENT]:g} on shifts: the treatment has the gains that "
            f"claims call relevant. Of the variance that is no signal, {worlds.OF_PATIENT:.0%} is common to "
            f"the images of a patient, {worlds.OF_IMAGE:.0%} to all runs of an image, {worlds.OF_ARM:.0%} "
            f"to the seeds of an arm, and {worlds.OF_RUN:.0%} is of one run; the signal differs by "
            f"{worlds.OF_SEED:.0%} between seeds. Logits are the log odds that the score gives, so that "
            "probabilities are calibrated, where images are joined those of the joined."
        ),
        "",
        (
            "Something is planted in the treatment alone. Each planted world has a twin without it, with "
            "the same random numbers, so that the two differ in nothing but the plant. *An item reacts if "
            "its verdict falls*: from supported to inconclusive or refuted, or from inconclusive to "
            "refuted. That a claim is no longer supported is a reaction, because between twins nothing "
            "else can take it away; what is refuted already cannot fall further. All that an item looks at "
            "being equal, it is not judged twice. What may react is judged in the first worlds only."
        ),
        "",
        (
            "Worlds say that harm is noticed by the claims that are about it, not that little harm would "
            "be: sizes were chosen so that it is, on other worlds (`python -m medbench.gate.sizes`). What "
            "an item can detect is in its own record (`detectable`)."
        ),
    ]


def _plant(plant: PlantReport, tasks: Sequence[str]) -> list[str]:
    where = "; ".join(f"{task}: {plant.at[task]}" for task in tasks if task in plant.at) or "all sets"
    rows = [
        [
            ", ".join(f"`{claim}`" for claim in dict.fromkeys(item.claim for item in cell.items)),
            cell.on,
            f"{cell.expected}, effect within {cell.within:g}" if cell.within else cell.expected,
            *(_counts([item for item in cell.items if item.task == task]) for task in tasks),
            cell.reason,
        ]
        for cell in plant.cells
    ]
    return [
        "",
        f"## {plant.plant}",
        f"{plant.statement} Size {plant.size:g}: {plant.size_reason}. Where: {where}.",
        "",
        *table(["claims", "on", "expected", *tasks, "why"], rows),
    ]


def _counts(items: Sequence[Reaction]) -> str:
    """How many items react in how many worlds: `9 items: 19 to 20 of 20`, bold if not as declared."""
    if not items:
        return ""
    fewest, most = (end(item.reacted for item in items) for end in (min, max))
    counts = f"{fewest}" if fewest == most else f"{fewest} to {most}"
    text = f"{len(items)} item{'s' if len(items) > 1 else ''}: {counts} of {items[0].worlds}"
    return text if all(item.held for item in items) else f"**{text}**"


def _intervals(result: ClaimReport) -> list[str]:
    found = {(i.worlds, i.reacted): _interval(i) for cell in result.cells for i in cell.items}
    listed = [f"{reacted} of {of} {found[of, reacted]}" for of, reacted in sorted(found, reverse=True)]
    return [
        "",
        "## How sure counts are",
        (
            "Counts above are of worlds in which an item reacts, the fewest and the most of the items; those "
            "in bold are not as declared. Clopper-Pearson 95 % intervals of the share of worlds: "
            f"{'; '.join(listed)}."
        ),
    ]


def _verdicts(result: ClaimReport) -> list[str]:
    rows = [
        [
            f"`{item.item}`",
            cell.plant,
            _short(item.before),
            _short(item.after),
            "" if item.change is None else f"{item.change:+.3f}",
        ]
        for cell in result.cells
        if cell.expected == "must"
        for item in cell.items
    ]
    return [
        "",
        "## Verdicts of what must react",
        "Worlds by verdict, supported / inconclusive / refuted, and the mean change of the effect.",
        "",
        *table(["item", "plant", "twin", "planted", "effect"], rows),
    ]


def _silent(result: ClaimReport) -> list[str]:
    """Items that were never supported or refuted, and so say little."""
    items = [item for cell in result.cells for item in cell.items]
    judged = {item.item for item in items if {"supported", "refuted"} & {*item.before, *item.after}}
    never = [f"`{item}`" for item in dict.fromkeys(item.item for item in items) if item not in judged]
    if not never:
        return []
    return [
        "",
        "## Without a verdict in any world",
        (
            "Too few patients, or too much that noise alone may have made: these items are inconclusive "
            "with each plant and without, so that nothing was learnt about them, and little will be of "
            f"trained runs on these cohorts. {', '.join(never)}."
        ),
    ]


def _not_planted(result: ClaimReport) -> list[str]:
    """Claims without cells of their own, and why."""
    rows = [
        *(
            [f"`{claim}`", f"judged as `{other}` is, of other arms"]
            for claim, other in result.judged_as.items()
        ),
        *([f"`{claim}`", reason] for claim, reason in result.not_planted.items()),
    ]
    return ["", "## Not planted", "", *table(["claim", "why"], rows)]


def _least(of: int) -> int:
    """The fewest worlds that are enough."""
    return next(count for count in range(of + 1) if count / of >= LEAST)


def _count(item: Reaction) -> str:
    return f"{item.reacted} of {item.worlds} worlds {_interval(item)}"


def _interval(item: Reaction) -> str:
    return f"[{item.low:.0%}, {item.high:.0%}]"


def _spoken(verdicts: dict[str, int]) -> str:
    return " and ".join(f"{count} {name}" for name, count in _ordered(verdicts))


def _short(verdicts: dict[str, int]) -> str:
    """`18 / 2 / 0`, and what is undefined."""
    undefined = verdicts.get("undefined", 0)
    counts = " / ".join(str(verdicts.get(name, 0)) for name in VERDICTS[:3])
    return f"{counts}, {undefined} undefined" if undefined else counts


def _ordered(verdicts: dict[str, int]) -> Iterable[tuple[str, int]]:
    return [(name, verdicts[name]) for name in VERDICTS if name in verdicts]
