"""Histories made up for tests: a value by night, as sessions would have written them."""

from datetime import UTC, datetime, timedelta

from medbench.history import Entry, Night, write

ITEM = "chest/scale-data/id"
FIRST = datetime(2026, 11, 1, 2, 0, tzinfo=UTC)


def session(number=0, **changes):
    fields = {
        "schema_version": 1,
        "created": (FIRST + timedelta(days=number)).isoformat(timespec="seconds"),
        "tier": "embedded",
        "medbench": "0.1.0",
        "commit": f"c{number:03d}",
        "device_class": "cpu",
        "python": "3.11.9",
        "libraries": {"jax": "0.10.2", "numpy": "2.4.0"},
        "generated": True,
    }
    return Night(**(fields | changes))


def entry(item=ITEM, *, treatment=0.83, baseline=0.81, seeds=(1,), **changes):
    """An item of which these seeds were measured, all with the same value."""
    values = {"baseline": dict.fromkeys(seeds, baseline), "treatment": dict.fromkeys(seeds, treatment)}
    fields = {
        "id": item,
        "verdict": "supported",
        "effect": (0.02, 0.01, 0.03),
        "metric": "roc_auc@1",
        "of": "0a1b2c3d",
        "means": {"baseline": baseline, "treatment": treatment},
        "seeds": 10,
        "values": {term: of for term, of in values.items() if of},
        "status": "ok",
    }
    return Entry(**(fields | changes))


def write_nights(folder, values, **changes):
    """One night a value of the treatment; a value of None leaves the night out."""
    for number, value in enumerate(values):
        if value is not None:
            write(folder, session(number), [entry(treatment=value, **changes)])
