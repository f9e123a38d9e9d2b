"""`medbench history`: an item through the nights, and which items jumped or slid."""

import argparse
import difflib
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from medbench.errors import MedbenchError, few, nearest, printable
from medbench.followed import Mark, Series, all_marks, all_series, band_in, band_of, follow, shown_term
from medbench.history import read
from medbench.report.history import in_words
from medbench.report.terminal import count

USUAL = Path("history"), Path("nights/history")
"""Where a history is looked for."""
WIDTH = 33
"""Characters of the drawing."""
BARS = "▁▂▃▄▅▆▇█"
LATEST = 24
"""Nights in the small drawing of the list."""


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """One night of an item, in `--format json`."""

    created: str
    commit: str
    device_class: str
    value: float | None
    """Of the arm, by the seeds that are followed; null where the night measured none of them."""
    band: tuple[float, float] | None
    """What it was held to: the accepted mean, and how far from it; null where these seeds were not."""
    measured: int
    """Seeds of the arm."""
    verdict: str
    """Or the state of what was not judged."""
    status: str
    accepted: bool
    red: bool
    marks: list[str]


class Drawing(msgspec.Struct, frozen=True, kw_only=True):
    """One arm of an item through the nights that compare."""

    item: str
    term: str
    metric: str
    device_class: str
    values_are: str
    band: tuple[float, float] | None
    """The accepted mean, and how far from it values may lie."""
    nights: list[Shown]
    marks: list[Mark]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `medbench history`."""
    parser.description = (
        "Draw an item through the nights of a history that `pytest benchmarks --history DIR` keeps, and name "
        "the nights of jumps and slides; without an item, list all items with their marks."
    )
    parser.epilog = "Exit status: 0, marks or not; 2 for a mistake. docs/history.md says what a mark means."
    parser.add_argument(
        "item",
        nargs="?",
        metavar="ITEM",
        help="such as chest/scale-data/id; a domain (chest) or claim (chest/scale-data) lists its items",
    )
    parser.add_argument(
        "--history",
        type=Path,
        metavar="DIR",
        help="its folder (default: history; where there is none, that of nights, nights/history)",
    )
    parser.add_argument("--tier", default="embedded", metavar="NAME", help="(default: embedded)")
    parser.add_argument(
        "--arm", metavar="A", help="such as baseline (default: what is marked, else the treatment)"
    )
    parser.add_argument(
        "--last", type=_number, metavar="N", help="show N nights; marks are sought in all (default: all)"
    )
    parser.add_argument("--format", choices=("text", "json"), default="text", help="(default: text)")


def run(args: argparse.Namespace) -> int:
    """Print; returns 0.

    Raises:
      MedbenchError: there is no history, or no such item or arm in it.
    """
    folder = args.history or next((each for each in USUAL if each.is_dir()), USUAL[0])
    history = read(folder, args.tier)
    for warning in history.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    series = all_series(history)
    if not series:
        raise MedbenchError(_why_none(folder, args.tier))
    if args.item is None or args.item not in series:
        print(_listed(args, series, len(history.nights)))
    else:
        print(_one(args, series))
    return 0


def _listed(args: argparse.Namespace, series: Mapping[str, list[Series]], nights: int) -> str:
    """All items, or those of a domain or claim; marked ones first."""
    items = [item for item in series if args.item is None or item.startswith(f"{args.item.rstrip('/')}/")]
    if not items:
        raise MedbenchError(_no_such_item(args.item, list(series)))
    if args.arm is not None:
        raise MedbenchError("--arm is of one item; name it whole, such as chest/scale-data/id.")
    marks = all_marks(series, items)
    drawings = [_drawing(series[item][-1], marks.get(item, []), None) for item in items]
    drawings.sort(key=lambda each: not each.marks)
    return _json(drawings, args.last) if args.format == "json" else _list(drawings, nights)


def _one(args: argparse.Namespace, series: Mapping[str, list[Series]]) -> str:
    """An item, in each series that it has."""
    own = series[args.item]
    terms = list(dict.fromkeys(term for each in own for term in each.terms))
    if args.arm is not None and args.arm not in terms:
        raise MedbenchError(f"{args.item}: no arm `{printable(args.arm)}`. {nearest(args.arm, terms)}")
    marks = all_marks(series, [args.item]).get(args.item, [])
    drawings = [_drawing(each, marks, args.arm) for each in own]
    if args.format == "json":
        return _json(drawings, args.last)
    return "\n\n".join(_drawn(each, args.last) for each in drawings)


def _number(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"`{printable(text)}` is no number of nights")
    return int(text)


def _why_none(folder: Path, tier: str) -> str:
    tiers = sorted(path.name for path in folder.glob("*") if any(path.glob("*/*.jsonl")))
    if tier in tiers:
        return f"{folder}: no file of tier `{tier}` can be read; the warnings above say why."
    if tiers:
        return f"{folder}: nothing of tier `{tier}`; there is {few(tiers)}. Choose by --tier."
    return (
        f"{folder}: no history here. Name its folder by --history: nights keep theirs in nights/history; "
        "`pytest benchmarks --history DIR` begins one."
    )


def _no_such_item(item: str, items: Sequence[str]) -> str:
    near = difflib.get_close_matches(item, items, n=3)
    meant = f"Did you mean {' or '.join(f'`{each}`' for each in near)}?" if near else "It has:"
    listed = "" if near else f" {few(items)}. `medbench history` lists all."
    return printable(f"the history has no item `{item}`. {meant}{listed}")


def _drawing(series: Series, marks: Sequence[Mark], term: str | None) -> Drawing:
    """An arm of a series; of one that never had a value, its nights alone."""
    chosen = term or (shown_term(series, marks) if series.terms else "")
    line = follow(series, chosen)
    values = dict(zip(line.nights, line.values, strict=True))
    here = {night.created for night, _ in series.nights}
    own = [mark for mark in marks if mark.night in here]
    return Drawing(
        item=series.item,
        term=chosen,
        metric=series.metric,
        device_class=series.device_class,
        values_are=in_words(line),
        band=band_of(line),
        nights=[
            Shown(
                created=night.created,
                commit=night.commit,
                device_class=night.device_class,
                value=values.get(i),
                band=band_in(line, i),
                measured=len(entry.values.get(chosen, ())),
                verdict=entry.verdict or entry.state,
                status=entry.status or "",
                accepted=entry.accepted,
                red=entry.red,
                marks=[mark.sentence for mark in own if mark.night == night.created],
            )
            for i, (night, entry) in enumerate(series.nights)
        ],
        marks=own,
    )


def _json(drawings: Sequence[Drawing], last: int | None) -> str:
    shown = [msgspec.structs.replace(each, nights=_latest(each, last)) for each in drawings]
    return msgspec.json.format(msgspec.json.encode(shown), indent=2).decode()


def _latest(drawing: Drawing, last: int | None) -> list[Shown]:
    return drawing.nights[-last:] if last else drawing.nights


def _list(drawings: Sequence[Drawing], nights: int) -> str:
    """One line an item."""
    width = max(len(printable(each.item)) for each in drawings)
    lines = [f"{count(nights, 'night')}, {count(len(drawings), 'item')}"]
    for each in drawings:
        values = [night.value for night in each.nights if night.value is not None]
        latest = each.nights[-1]
        shown = f"{values[-1]:.4f}" if values else "–"
        lines.append(
            f"{printable(each.item):{width}}  {latest.created[:10]}  "
            f"{_sparkline(values[-LATEST:]):{LATEST}}  {shown:>7}  {latest.verdict:12}  "
            f"{each.marks[-1].sentence if each.marks else ''}".rstrip()
        )
    return "\n".join(printable(line) for line in lines)


def _sparkline(values: Sequence[float]) -> str:
    if not values:
        return ""
    low, span = min(values), max(values) - min(values)
    return "".join(BARS[int((value - low) / span * (len(BARS) - 1)) if span else 0] for value in values)


def _drawn(drawing: Drawing, last: int | None) -> str:
    """Heading, one line a night, and the marks."""
    heading = (
        f"{drawing.item} · {drawing.term} ({drawing.metric}) · {drawing.device_class} · {drawing.values_are}"
    )
    if drawing.band:
        heading += f" · accepted {drawing.band[0]:.4f} ± {drawing.band[1]:.4f}"
    place = _places(drawing)
    lines = [heading]
    shown = _latest(drawing, last)
    if earlier := len(drawing.nights) - len(shown):
        lines.append(f"({count(earlier, 'earlier night')})")
    for night in shown:
        value = "–" if night.value is None else f"{night.value:.4f}"
        notes = [night.status, "accepted" if night.accepted else "", "RED" if night.red else "", *night.marks]
        lines.append(
            f"{night.created[:16].replace('T', ' ')}  {_short(night.commit):9}  {value:>7}  "
            f"{_bar(night, place)}  {night.verdict:12}  "
            f"{' · '.join(filter(None, notes))}".rstrip()
        )
    lines.append(f"{len(drawing.marks) or 'no'} mark{'' if len(drawing.marks) == 1 else 's'}")
    lines += [f"  {mark.sentence}" for mark in drawing.marks]
    return "\n".join(printable(line) for line in lines)


def _short(commit: str) -> str:
    """A revision as git shows it, `+` where there were changes."""
    return (commit[:8] + "+" * (commit.endswith("+") and len(commit) > 8)) or "unknown"


def _places(drawing: Drawing) -> tuple[float, float]:
    """The ends of the axis: of all values and of what was accepted."""
    values = [night.value for night in drawing.nights if night.value is not None]
    bands = [night.band for night in drawing.nights if night.band]
    values += [mean + sign * half for mean, half in bands for sign in (-1, 1)]
    return (min(values), max(values)) if values else (0.0, 0.0)


def _bar(night: Shown, ends: tuple[float, float]) -> str:
    """A night's value as a point between the ends, the band that it was held to in brackets."""
    low, high = ends

    def column(of: float) -> int:
        return round((of - low) / (high - low) * (WIDTH - 1)) if high > low else WIDTH // 2

    drawn = ["·"] * WIDTH
    if night.band:
        mean, half = night.band
        drawn[column(mean - half)], drawn[column(mean + half)] = "[", "]"
    if night.value is not None:
        drawn[column(night.value)] = "●"
    return "".join(drawn)
