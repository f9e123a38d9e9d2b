"""The questions that a table of values by backbone, amount and seed can answer, each with its verdict.

Scale on either axis, whether the axes need each other, and how much data the larger backbone saves.
"""

from collections.abc import Iterator
from itertools import product

from msgspec.structs import replace

from medbench.multiplicity import adjust
from medbench.others.contrast import contrast
from medbench.others.efficiency import judge_efficiency
from medbench.others.record import Question, SeedJudgement, Term
from medbench.others.results import Results
from medbench.others.scales import Rung, Scales
from medbench.predicates import PREDICATES, verdict
from medbench.stats.interval import ROUNDING, p_value


def judge_results(
    results: Results, scales: Scales, *, higher_is_better: bool, margin: float, share: float
) -> list[SeedJudgement]:
    """Every question that the declared backbones allow, in order of question and amount.

    Args:
      results: the table.
      scales: what its backbones are.
      higher_is_better: whether a larger value is a better model.
      margin: gain that counts, in units of the metric, at least 0.
      share: of the data, in (0, 1], with which the larger backbone is to reach the smaller one's score.
    """
    table = _Table(results, scales, 1 if higher_is_better else -1)
    judged = [
        _with_verdict(question, margin)
        for ask in (_of_data, _of_architecture, _of_interaction)
        for question in ask(table)
    ]
    efficiency = [judge_efficiency(question, share, results.amounts) for question in _of_efficiency(table)]
    return adjust(judged) + efficiency


class _Table:
    """The table by position on the two axes, with the sign that makes larger better."""

    def __init__(self, results: Results, scales: Scales, sign: int):
        self.results, self.scales, self.sign = results, scales, sign
        self.present = {backbone for backbone, _ in results.values}
        self.upstreams = list(dict.fromkeys(p.upstream for p in scales.backbones.values()))
        self.architectures = list(dict.fromkeys(p.architecture for p in scales.backbones.values()))

    def backbones(self, *positions: tuple[str, str]) -> list[str] | None:
        """The backbones at these positions, if the table has all of them."""
        names = [self.scales.backbone(*position) for position in positions]
        found = [name for name in names if name in self.present]
        return found if len(found) == len(names) else None

    def term(self, backbone: str, amount: str, sign: int) -> Term:
        values = dict(sorted(self.results.of(backbone, amount).items()))
        return Term(backbone=backbone, amount=amount, sign=sign * self.sign, values=values)

    def difference(
        self, claim: Question, rung: Rung, comparison: str, names: list[str], signs: tuple[int, ...]
    ) -> Iterator[SeedJudgement]:
        """The question at every amount, unanswered."""
        for amount in self.results.amounts:
            yield SeedJudgement(
                claim=claim,
                ladder=rung.ladder,
                amount=amount,
                comparison=comparison,
                terms=[self.term(name, amount, sign) for name, sign in zip(names, signs, strict=True)],
                state="missing",
            )


def _of_data(table: _Table) -> Iterator[SeedJudgement]:
    """Is a larger upstream better at equal architecture?"""
    for rung, architecture in product(table.scales.upstreams, table.architectures):
        names = table.backbones((rung.smaller, architecture), (rung.larger, architecture))
        if names:
            comparison = f"{architecture}: {rung.smaller} → {rung.larger}"
            yield from table.difference("scale-data", rung, comparison, names, (-1, 1))


def _of_architecture(table: _Table) -> Iterator[SeedJudgement]:
    """Is a larger architecture better at equal upstream?"""
    for rung, upstream in product(table.scales.architectures, table.upstreams):
        names = table.backbones((upstream, rung.smaller), (upstream, rung.larger))
        if names:
            comparison = f"{upstream}: {rung.smaller} → {rung.larger}"
            yield from table.difference("scale-architecture", rung, comparison, names, (-1, 1))


def _of_interaction(table: _Table) -> Iterator[SeedJudgement]:
    """Does the larger architecture gain more from the larger upstream than the smaller one does?"""
    for data, size in product(table.scales.upstreams, table.scales.architectures):
        names = table.backbones(
            (data.smaller, size.smaller),
            (data.larger, size.smaller),
            (data.smaller, size.larger),
            (data.larger, size.larger),
        )
        if names:
            comparison = f"{data.smaller} → {data.larger}: gain of {size.larger} over that of {size.smaller}"
            yield from table.difference("interaction", data, comparison, names, (1, -1, -1, 1))


def _of_efficiency(table: _Table) -> Iterator[SeedJudgement]:
    """Does the larger backbone reach, on less data, the score that the smaller one has on all of it?"""
    amounts = list(table.results.amounts)
    if len(amounts) < 2:
        return
    for ladder, smaller, larger in _steps(table):
        names = table.backbones(smaller, larger)
        if names:
            yield SeedJudgement(
                claim="data-efficiency",
                ladder=ladder,
                amount=amounts[-1],
                comparison=f"{names[0]} → {names[1]}",
                terms=[
                    table.term(names[0], amounts[-1], -1),
                    *(table.term(names[1], amount, 1) for amount in amounts),
                ],
                state="missing",
            )


def _steps(table: _Table) -> Iterator[tuple[str, tuple[str, str], tuple[str, str]]]:
    """Ladder, smaller and larger position: a step on the first axis, on the second, on both."""
    data, sizes = table.scales.upstreams, table.scales.architectures
    for rung, architecture in product(data, table.architectures):
        yield rung.ladder, (rung.smaller, architecture), (rung.larger, architecture)
    for rung, upstream in product(sizes, table.upstreams):
        yield "", (upstream, rung.smaller), (upstream, rung.larger)
    for rung, size in product(data, sizes):
        yield rung.ladder, (rung.smaller, size.smaller), (rung.larger, size.larger)


def _with_verdict(question: SeedJudgement, margin: float) -> SeedJudgement:
    """The question answered: superiority by the margin."""
    question = replace(question, margin=margin)
    lacking = why_no_interval(question.terms)
    if lacking:
        return replace(question, reason=lacking)
    found = contrast([(term.sign, term.values) for term in question.terms])
    effect, claimed = found.interval(), PREDICATES["superiority"]
    question = replace(question, state="judged", effect=effect, pairing=found.pairing, verdict="inconclusive")
    if found.standard_error < ROUNDING:
        return replace(
            question, note="the difference is the same for all seeds, so chance cannot be told from it"
        )
    verdicts = {
        name: verdict(effect, claimed(margin * factor))
        for name, factor in (("verdict", 1), ("verdict_at_half_margin", 0.5), ("verdict_at_twice_margin", 2))
    }
    return replace(
        question,
        degrees_of_freedom=found.degrees_of_freedom,
        p=p_value(found.value, claimed(margin), found),
        **verdicts,
    )


def why_no_interval(terms: list[Term]) -> str:
    """Which arms have too few seeds for an interval, or an empty string."""
    few = {0: "no value", 1: "one seed, so the noise of training is unknown"}
    return "; ".join(
        f"{term.backbone} at {term.amount} has {few[len(term.values)]}"
        for term in terms
        if len(term.values) < 2
    )
