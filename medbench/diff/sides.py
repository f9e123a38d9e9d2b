"""One state of a suite in the form that two are compared in, whatever it was read from.

Made from accepted values, a report or judgements; no file is read here.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from medbench.difference import Suspect
from medbench.expect import Expectation, Expectations, Groups, Samples
from medbench.identity import Shapes
from medbench.judgement import Definition, Interval, Judgement, Verdict
from medbench.metrics import Metric, Sample
from medbench.reference import GENERATED
from medbench.report.record import Report
from medbench.spec.effects import AT

Origin = Literal["trained", "loaded", "accepted"]
"""Of a value: from a run that was trained for this state; from a reference run; as it was accepted."""
Kind = Literal["definition", "arms", "cohort", "spec", "code", "library", "device", "trainer", "settings"]
Facts = Mapping[tuple[Kind, str], str]
"""What may be why values are as they are, by kind and name; what is not known is left out."""

OF = " of "
"""Between a field of a spec and the arm, in the name of a fact."""
MEDBENCH = "medbench"
"""The trainer of runs that name none."""
_HASH = re.compile(r"^([0-9a-f]{12})[0-9a-f]+(\+?)$")


class Predicted(Protocol):
    """The predictions behind an item's values."""

    @property
    def metric(self) -> Metric:
        """Of the item."""

    @property
    def cluster(self) -> str:
        """What stands for a patient."""

    def sample(self, term: str, seed: int) -> Sample | None:
        """What the metric looks at of one run; None where its predictions are not at hand."""


@dataclass(frozen=True, kw_only=True)
class ItemValues:
    """One item on one side, on one device class where that side keeps them apart.

    Attributes:
      id: `task/claim/evaluation-set`, and an attribute where the claim is about each.
      environments: the device classes that it is for.
      definition: None where the item could not be judged.
      verdict: of the claim.
      effect: of the claim.
      arms: what was fine-tuned in each.
      groups: the sub-groups present, by attribute.
      samples: the metric by term and seed.
      devices: the device class of each value.
      origins: of each value.
      cohort_fingerprint: of the images.
      undefined: why there is nothing to compare, else empty.
      generated: whether images are.
      facts: that may explain its values.
      predicted: the predictions, where they are at hand.
    """

    id: str
    environments: Sequence[str] = ()
    definition: Definition | None = None
    verdict: Verdict | None = None
    effect: Interval | None = None
    arms: Mapping[str, str]
    groups: Groups
    samples: Samples
    devices: Mapping[str, Mapping[int, str]]
    origins: Mapping[str, Mapping[int, Origin]]
    cohort_fingerprint: str = ""
    undefined: str = ""
    generated: bool = False
    facts: Facts
    predicted: Predicted | None = None

    def quantity(self, term: str) -> tuple[str, str, str]:
        """What a term's values are of, in whatever items: task, evaluation set (and attribute), arm."""
        task, _, evaluation_set = self.id.split("/", 2)
        arm, _, other_set = term.partition(AT)
        return task, other_set or evaluation_set, self.arms.get(arm, arm)


@dataclass(frozen=True, kw_only=True)
class Side:
    """All items of one state.

    Attributes:
      words: what it is, for a person.
      tier: of all items.
      items: by id; several where values were accepted on several device classes.
      asked: ids of all items that its suite asks for, whether they were looked at or not.
      apart: tasks that took no part.
      by_device: whether it keeps the values of several device classes apart.
    """

    words: str
    tier: str
    items: Mapping[str, Sequence[ItemValues]]
    asked: frozenset[str] = frozenset()
    apart: frozenset[str] = frozenset()
    by_device: bool = False

    def passes_over(self, item_id: str) -> bool:
        """Whether the item was not looked at, so that it is no wonder that it is not among the items."""
        return item_id in self.asked or item_id.partition("/")[0] in self.apart


def of_expectations(
    expectations: Expectations, *, words: str, tier: str, shapes: Shapes | None = None
) -> Side:
    """Accepted values: all that was ever accepted and is still asked for, so that what lacks is gone.

    Args:
      expectations: of the tier.
      words: what they are, for a person.
      tier: whose values.
      shapes: of the accepted runs, as far as they are known.
    """
    items = _by_id(_accepted(each, shapes or {}) for each in expectations.accepted)
    return Side(words=words, tier=tier, items=items, by_device=True)


def of_report(report: Report, *, words: str) -> Side:
    """What a session judged, and what it could not; what was not selected or not run was not looked at."""
    trainers = {run.trainer or MEDBENCH for run in report.provenance}
    session = report.environment
    facts = _known(
        {
            ("code", "commit"): short(session.commit),
            ("trainer", "trainer"): ", ".join(sorted(trainers)),
            **{("library", name): version for name, version in session.libraries.items()},
            ("library", "python"): session.python,
            ("device", "cores"): str(session.cores),
        }
    )
    judged = [
        of_judgement(claim, {**facts, **spec_facts(claim.arms, report.shapes.get(claim.task, {}))})
        for claim in report.claims
        if claim.state != "not-run"
    ]
    lost = [_lost(error.id, f"could not be judged: {_first_line(error.message)}") for error in report.errors]
    with_items = {each.task for each in report.asked if each.items}
    return Side(
        words=words,
        tier=report.tier,
        items=_by_id([*judged, *lost]),
        asked=frozenset(item for each in report.asked for item in each.items)
        | {claim.id for claim in report.claims if claim.state == "not-run"},
        apart=frozenset(each.task for each in report.asked) - with_items,
    )


def of_judgement(judgement: Judgement, facts: Facts, predicted: Predicted | None = None) -> ItemValues:
    """An item that was judged, or that is undefined.

    Args:
      judgement: in any state but `not-run`.
      facts: of its surroundings; its arms, cohort and device class are added.
      predicted: its predictions, where they are at hand.
    """
    classes = ", ".join(judgement.environments)
    return ItemValues(
        id=judgement.id,
        environments=judgement.environments,
        definition=judgement.definition,
        verdict=judgement.verdict,
        effect=judgement.effect,
        arms=judgement.arms,
        groups=judgement.groups,
        samples=judgement.samples,
        devices={
            term: {seed: judgement.devices.get(term, {}).get(seed, classes) for seed in values}
            for term, values in judgement.samples.items()
        },
        origins={
            term: {
                seed: "trained" if seed in judgement.trained.get(term, []) else "loaded" for seed in values
            }
            for term, values in judgement.samples.items()
        },
        cohort_fingerprint=judgement.cohort_fingerprint,
        undefined=f"undefined: {judgement.reason}" if judgement.state == "missing" else "",
        generated=judgement.generated,
        facts={**facts, **_own_facts(judgement.arms, judgement.cohort_fingerprint, classes)},
        predicted=predicted,
    )


def spec_facts(arms: Mapping[str, str], shapes: Mapping[str, Mapping[str, str]]) -> Facts:
    """What is fine-tuned in each arm and how, as far as it is known."""
    return {
        ("spec", f"{field}{OF}{arm}"): value
        for arm, label in arms.items()
        for field, value in shapes.get(label, {}).items()
    }


def differing(before: Facts, after: Facts) -> list[Suspect]:
    """What both sides know and what differs between them.

    A field of all arms that differs alike is one suspect. Another backbone has other fields, which are not
    told beside it.
    """
    both = [key for key in before if key in after]
    suspects = [
        Suspect(kind=kind, name=name, before=before[kind, name], after=after[kind, name])
        for kind, name in both
        if kind != "spec" and before[kind, name] != after[kind, name]
    ]
    others = {suspect.name for suspect in suspects if suspect.kind == "arms"}
    arms_of: dict[str, list[str]] = {}
    differs: dict[tuple[str, str, str], list[str]] = {}
    for key in both:
        if key[0] == "spec":
            field, _, arm = key[1].rpartition(OF)
            arms_of.setdefault(field, []).append(arm)
            if before[key] != after[key] and arm not in others:
                differs.setdefault((field, before[key], after[key]), []).append(arm)
    return suspects + [
        Suspect(
            kind="spec",
            name=field if arms == arms_of[field] else f"{field} ({', '.join(arms)})",
            before=old,
            after=new,
        )
        for (field, old, new), arms in differs.items()
    ]


def _accepted(expectation: Expectation, shapes: Shapes) -> ItemValues:
    accepted, environment = expectation.accepted, expectation.environment
    facts: Facts = {
        ("code", "commit"): ", ".join(map(short, accepted.commit.split(", "))),
        ("library", "jax"): accepted.jax,
        ("trainer", "trainer"): accepted.trainer or MEDBENCH,
        **spec_facts(expectation.arms, shapes.get(expectation.item.partition("/")[0], {})),
        **_own_facts(expectation.arms, expectation.cohort_fingerprint, environment),
    }
    return ItemValues(
        id=expectation.item,
        environments=[environment],
        definition=expectation.definition,
        verdict=expectation.verdict,
        effect=expectation.effect,
        arms=expectation.arms,
        groups=expectation.groups,
        samples=expectation.samples,
        devices={term: dict.fromkeys(values, environment) for term, values in expectation.samples.items()},
        origins={term: dict.fromkeys(values, "accepted") for term, values in expectation.samples.items()},
        cohort_fingerprint=expectation.cohort_fingerprint,
        generated=expectation.definition.cohort.startswith(GENERATED),
        facts=_known(facts),
    )


def _lost(item_id: str, why: str) -> ItemValues:
    return ItemValues(
        id=item_id, arms={}, groups={}, samples={}, devices={}, origins={}, undefined=why, facts={}
    )


def _own_facts(arms: Mapping[str, str], fingerprint: str, device_class: str) -> Facts:
    own: Facts = {
        **{("arms", arm): label for arm, label in arms.items()},
        ("cohort", "fingerprint"): short(fingerprint),
        ("device", "class"): device_class,
    }
    return _known(own)


def _known(facts: Facts) -> Facts:
    return {key: value for key, value in facts.items() if value}


def short(digits: str) -> str:
    """A revision or fingerprint by its first digits, with the `+` of a checkout that had changes."""
    return _HASH.sub(r"\1\2", digits)


def _by_id(items: Iterable[ItemValues]) -> dict[str, list[ItemValues]]:
    found: dict[str, list[ItemValues]] = {}
    for item in items:
        found.setdefault(item.id, []).append(item)
    return found


def _first_line(message: str) -> str:
    return message.partition("\n")[0]
