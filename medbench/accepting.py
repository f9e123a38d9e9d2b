"""What a session accepts of what it judged, or proposes to accept; and what it refuses before it trains."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from medbench import candidates, expect
from medbench.accepted_runs import Taken, require_one_code, same_predictions, sharing, told_of_sharing
from medbench.diff.message import commit_command, commit_message, keep_message
from medbench.errors import MedbenchError
from medbench.expect import Change, Expectation, changed_definition
from medbench.identity import spec_id
from medbench.judgement import Judgement
from medbench.reference import References
from medbench.report.terminal import count
from medbench.spec.loader import shown
from medbench.spec.runs import Plan, RunSpec
from medbench.study import Study
from medbench.writing import UnwritableError


def accept(
    study: Study, judgements: Sequence[Judgement], *, reason: str, date: str
) -> tuple[list[str], frozenset[str]]:
    """Accept judged items, and their runs as reference runs where the cohort is generated.

    Args:
      study: that judged them.
      judgements: of the selected items.
      reason: why the values are right.
      date: ISO 8601 day.

    Returns:
      What changed, before and after, as lines; and the items that were accepted.

    Raises:
      MedbenchError: CI is set, no reason is given, or an item's runs come from several device classes
        or versions of the code. Nothing is written then.
    """
    taken = Taken(0, [])

    def runs_first(changes: Sequence[Change]) -> None:  # cut off in between, the values still differ
        nonlocal taken
        taken = _accept_runs(study, _taken_over(changes), study.references)

    changes = expect.update(
        judgements,
        root=study.accepted_in,
        tier=study.options.tier,
        reason=reason,
        provenance=lambda item_id: _provenance(study, item_id, reason=reason, date=date),
        only_new=study.options.expect == "new",
        known=study.expectations,
        first=runs_first,
    )
    said = expect.summary(changes).splitlines()
    if taken.runs or any(change.before != change.after for change in changes):
        said += conclude(study, changes, taken, reason=reason, store=study.options.store)
    else:
        said.append("nothing changed, so nothing was written")
    return said, frozenset(_taken_over(changes))


def conclude(study: Study, changes: Sequence[Change], taken: Taken, *, reason: str, store: Path) -> list[str]:
    """Leave the message of a commit, and say what was accepted, whom else it concerns, and how to commit it.

    Args:
      study: with what was accepted before.
      changes: that were made.
      taken: the reference runs.
      reason: why they are right.
      store: folder that the message is left in, which need not exist.

    Returns:
      Lines for a person.
    """
    known, root, tier = study.expectations, study.accepted_in, study.options.tier
    text = commit_message(changes, reason=reason, tier=tier, tolerance=known.tolerance)
    try:
        how = f"commit them with: {commit_command(root, keep_message(text, store))}"
    except UnwritableError as error:  # what was accepted stays so
        how = f"commit {shown(root)} by yourself; no message could be left for it: {error}"
    changed = sum(change.before != change.after for change in changes)
    others = sharing(taken.replaced, known.accepted, _taken_over(changes))
    return [
        f"{count(changed, 'item')} and {count(taken.runs, 'reference run')} accepted",
        *told_of_sharing(others, tier, Path(study.suite.root)),
        how,
    ]


def _taken_over(changes: Iterable[Change]) -> list[str]:
    """The items that were not kept."""
    return [change.item for change in changes if not change.why_kept]


def propose(study: Study, judgements: Sequence[Judgement], into: Path, *, date: str) -> str:
    """Write what accepting judged items would leave into a folder of its own; nothing is accepted.

    Args:
      study: that judged them.
      judgements: of the selected items.
      into: see `medbench.candidates`.
      date: ISO 8601 day.

    Returns:
      What accepting would change, before and after, one line an item.

    Raises:
      MedbenchError: the folder holds something else, or cannot be written.
    """
    tier, reason = study.options.tier, candidates.reason(date)
    root = candidates.begin(into, study.accepted_in if study.options.compare else None, tier)
    changes = expect.propose(
        judgements,
        root=root,
        tier=tier,
        provenance=lambda item_id: _provenance(study, item_id, reason=reason, date=date),
        known=study.expectations,
    )
    proposed = References(root / study.references.root.relative_to(study.accepted_in))
    _accept_runs(study, _taken_over(changes), proposed)
    elsewhere = study.accepted_in.resolve() != expect.beside(Path(study.suite.root)).resolve()
    return candidates.end(into, changes, tier=tier, own=study.options.own, elsewhere=elsewhere)


def why_stale(study: Study, candidate: Expectation) -> str:
    """Why proposed values say nothing of the suite as it is now; empty where they do, or nobody can tell."""
    item = candidate.item
    if not study.has_cohort(item.partition("/")[0]):
        return ""
    if item not in study.items:
        return "the suite does not ask for it any more"
    if study.unplannable([item]):
        return ""
    fields = changed_definition(candidate.definition, study.definition(item))
    told = ", ".join(f"{name} was {old}, is {new}" for name, old, new in fields)
    return f"the definition changed since ({told}); judge it again" if fields else ""


def require_acceptable(study: Study, plan: Plan) -> None:
    """Refuse before training what would be refused after it, in a session that is to accept values.

    Raises:
      MedbenchError: an item's runs would come from several versions of the code; a stored or
        reference run is damaged; or the folder cannot be written.
    """
    expect.require_writable(study.accepted_in)
    loaded = {run.spec_id: run.code for run in study.forecast(plan).loaded}
    for planned in plan.items:
        if study.options.expect == "new" and study.accepted_here(planned.item.id):
            continue
        codes = [loaded.get(spec_id(spec), study.code) for spec in planned.all_runs]
        require_one_code(planned.item.id, codes, study.code)


def _provenance(study: Study, item_id: str, *, reason: str, date: str) -> expect.Accepted:
    """Who made an item's values and when, from the records of its runs."""
    runs = [study.stored(spec) or study.references.get(spec) for spec in study.plan([item_id]).runs]
    records = [run.record for run in runs if run is not None]
    if len(records) < len(runs):
        raise MedbenchError(
            f"{item_id}: {len(runs) - len(records)} of its {len(runs)} runs are no longer in the store, "
            "so that nobody could tell where its values came from. Nothing was accepted; judge it again."
        )
    require_one_code(item_id, [record.code for record in records], study.code)
    return expect.Accepted(
        date=date,
        commit=", ".join(sorted({record.environment.commit for record in records})),
        reason=reason,
        jax=", ".join(sorted({record.environment.libraries.get("jax", "") for record in records})),
        trainer="" if study.trainer is None else str(study.trainer),
    )


def _accept_runs(study: Study, item_ids: Iterable[str], into: References) -> Taken:
    """Copy the stored runs of items that are not references yet, or differ."""
    number, replaced = 0, list[RunSpec]()
    for spec in study.plan(item_ids).runs:
        run = study.stored(spec) if study.is_generated(spec.task) else None
        before = study.references.get(spec)
        if run is not None and not same_predictions(run, before):
            into.accept(run)
            number += 1
            replaced += [spec] if before else []
    return Taken(number, replaced)
