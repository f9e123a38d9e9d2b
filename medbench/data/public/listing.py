"""The public cohorts in words: which there are, which are prepared, and how to come by the others.

Only what is declared and what `cohort.json` says is read.
"""

from pathlib import Path

from medbench.data.aligned import aligned
from medbench.data.findings import counted
from medbench.data.public.catalogue import MODULES, source_named
from medbench.data.public.prepared import PreparedRecord, how_to, read_record
from medbench.data.public.source import Source
from medbench.errors import MedbenchError, NotPreparedError
from medbench.spec.loader import shown


def all_in_words(folder: Path) -> str:
    """One line a cohort; `folder` is where cohorts are prepared."""
    sources = [source_named(name) for name in MODULES]
    rows = [_row(source, sources, folder) for source in sources]
    header = ["cohort", "domain", "prepared", "a shift of", "images", "size"]
    licences = [f"  {source.name}: {source.licence}" for source in sources]
    return "\n".join(
        [
            aligned([header, *rows], text_columns=4),
            "",
            "licences:",
            *licences,
            "",
            "medbench cohort list NAME tells all of one, and how to come by it.",
            "MedMNIST's files are fetched by medbench cohort prepare medmnist:NAME@SIZE, such as",
            "medmnist:pneumoniamnist@64.",
        ]
    )


def one_in_words(name: str, folder: Path, *, after: str = "") -> str:
    """All of one cohort; `after` stands behind the command that is named at its end.

    Raises:
      MedbenchError: there is none of that name.
    """
    source = source_named(name)
    state, record = _state(source, folder)
    facts = {
        "target": f"{source.target.kind}: {', '.join(source.target.classes)}",
        "attributes": ", ".join(source.attributes) or "none",
        "own shifts": ", ".join(source.own_shifts) or "none",
        "shifts from": ", ".join(source.shifts_from) or "none",
        "uncertain labels": ", ".join(source.policies) + " (public:NAME@POLICY)"
        if source.policies
        else "none",
        "cluster": source.cluster,
        "published": f"{counted(source.images, 'image')} of {counted(source.patients, source.cluster)}, "
        f"about {source.gigabytes:g} GB",
        "prepared": state + (f" in {shown(folder / source.name)}" if record else ""),
        **(
            {"sets": ", ".join(f"{name} {n:,}" for name, n in record.images.items()) + " images"}
            if record
            else {}
        ),
        "homepage": source.homepage,
        "citation": source.citation,
        "licence": source.licence,
        "to obtain": source.obtain,
    }
    lines = [f"public:{source.name} · {source.domain} · {source.title}"]
    lines += [f"  {name:<18}{value}" for name, value in facts.items()]
    lines += [f"  note: {warning}" for warning in source.warnings]
    prepare = how_to(source).rpartition("Then: ")[2]
    command = prepare if state == "no" else f"medbench cohort check {source.name}"
    return "\n".join([*lines, f"Next: {command}{after}"])


def _row(source: Source, sources: list[Source], folder: Path) -> list[str]:
    state, record = _state(source, folder)
    images = source.images if record is None else sum(record.images.values())
    size = f"{source.gigabytes:g} GB" if record is None else f"{record.bytes / 1e9:.1f} GB"
    homes = ", ".join(other.name for other in sources if source.name in other.shifts_from)
    return [source.name, source.domain, state, homes, f"{images:,}", size]


def _state(source: Source, folder: Path) -> tuple[str, PreparedRecord | None]:
    """In words whether it is prepared, and its record if so."""
    try:
        record = read_record(source, folder)
    except NotPreparedError:
        return "no", None
    except MedbenchError:
        return "damaged", None
    return record.date, record
