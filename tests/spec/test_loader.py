"""The strict loader: every mistake is one message with file and line; what is right is read by type."""

from pathlib import Path
from typing import Any, Literal

import msgspec
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from medbench.errors import MedbenchError
from medbench.spec.loader import dump_yaml, load_document, load_yaml
from medbench.spec.records import Declared


class Part(Declared, frozen=True, kw_only=True):
    name: str
    share: float = 1.0


class Round(Declared, frozen=True, kw_only=True, tag="round", tag_field="kind"):
    radius: float


class TwoSided(Declared, frozen=True, kw_only=True, tag="square", tag_field="kind"):
    side: int


class Thing(Declared, frozen=True, kw_only=True, rename="kebab"):
    thing: str
    size: float = 0.0
    count: int = 0
    flag: bool = False
    colour: Literal["red", "green"] = "red"
    tags: list[str] = msgspec.field(default_factory=list)
    part: Part | None = None
    parts: dict[str, Part] = msgspec.field(default_factory=dict)
    by_seed: dict[int, float] = msgspec.field(default_factory=dict)
    shape: Round | TwoSided | None = None
    mixed: str | list[str] | Part | None = None
    number_or_text: str | float = 0.0
    anything: Any = None


class Share(Declared, frozen=True, kw_only=True):
    value: float

    def __post_init__(self):
        if self.value > 1:
            raise ValueError("a share is at most 1")


class Shares(Declared, frozen=True, kw_only=True):
    first: Share
    others: dict[str, Share] = msgspec.field(default_factory=dict)


@pytest.fixture
def write(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def write(text: str | bytes) -> Path:
        path = Path("thing.yaml")
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


MISTAKES = {
    "an unknown key": (
        "thing: cup\nsise: 3\n",
        "thing.yaml:2: unknown key `sise` in thing `cup`. Did you mean `size`?",
    ),
    "an unknown key, like nothing": (
        "first: {value: 1}\nqqq: 3\n",
        "thing.yaml:2: unknown key `qqq` in shares. Expected `first`, `others`.",
        Shares,
    ),
    "a key by the name of the attribute, not of the format": (
        "thing: cup\nby_seed: {}\n",
        "thing.yaml:2: unknown key `by_seed` in thing `cup`. Did you mean `by-seed`?",
    ),
    "a missing key": ("size: 3\n", "thing.yaml:1: thing lacks the key `thing`."),
    "a missing key further down": (
        "thing: cup\nparts:\n  handle:\n    share: 0.5\n",
        "thing.yaml:4: part `handle` lacks the key `name`.",
    ),
    "a duplicate key": (
        "thing: cup\nsize: 1\ncount: 2\nsize: 1\n",
        "thing.yaml:4: duplicate key `size` in thing `cup`, first given in line 2. Keep one.",
    ),
    "a duplicate number as key": (
        "thing: cup\nby-seed:\n  1: 0.5\n  01: 0.6\n",
        "thing.yaml:4: duplicate key `1` in `by-seed` in thing `cup`, first given in line 3. Keep one.",
    ),
    "a duplicate key where anything goes": (
        "thing: cup\nanything:\n  a: 1\n  a: 2\n",
        "thing.yaml:4: duplicate key `a` in `anything` in thing `cup`, first given in line 3. Keep one.",
    ),
    "text for a number": (
        "thing: cup\nsize: large\n",
        "thing.yaml:2: expected a number for `size` in thing `cup`, found `large`.",
    ),
    "a quoted number": (
        "thing: cup\nsize: '3'\n",
        "thing.yaml:2: expected a number for `size` in thing `cup`, found `3` in quotes.",
    ),
    "a fraction for a whole number": (
        "thing: cup\ncount: 3.0\n",
        "thing.yaml:2: expected a whole number for `count` in thing `cup`, found `3.0`.",
    ),
    "not a number": (
        "thing: cup\nsize: .nan\n",
        "thing.yaml:2: expected a finite number for `size` in thing `cup`, found `.nan`.",
    ),
    "a number beyond all bounds": (
        "thing: cup\nsize: -1e999\n",
        "thing.yaml:2: expected a finite number for `size` in thing `cup`, found `-1e999`.",
    ),
    "more digits than Python converts": (
        "thing: cup\ncount: " + "9" * 5000,
        "thing.yaml:2: expected a finite number for `count` in thing `cup`, found `" + "9" * 59 + "…`.",
    ),
    "no is no truth value": (
        "thing: cup\nflag: no\n",
        "thing.yaml:2: expected `true` or `false` for `flag` in thing `cup`, found `no`.",
    ),
    "a text of several lines for a number": (
        "thing: cup\nsize: |\n  large\n  small\n",
        "thing.yaml:2: expected a number for `size` in thing `cup`, found `large\\nsmall\\n`.",
    ),
    "nothing for text": ("thing:\n", "thing.yaml:1: expected text for `thing` in thing, found nothing."),
    "one for a list": (
        "thing: cup\ntags: blue\n",
        "thing.yaml:2: expected a list for `tags` in thing `cup`, found `blue`. Write `[blue]`.",
    ),
    "a mapping in a list of text": (
        "thing: cup\ntags:\n- blue\n- red: 1\n",
        "thing.yaml:4: expected text for an entry of `tags` in thing `cup`, found a mapping.",
    ),
    "a list for a mapping": (
        "thing: cup\nparts: [handle]\n",
        "thing.yaml:2: expected a mapping (`key: value`) for `parts` in thing `cup`, found a list.",
    ),
    "the wrong thing where several are possible": (
        "thing: cup\nnumber-or-text: [1]\n",
        "thing.yaml:2: expected a number or text for `number-or-text` in thing `cup`, found a list.",
    ),
    "a list for the whole file": (
        "- thing: cup\n",
        "thing.yaml:1: expected a mapping (`key: value`) for the file, found a list.",
    ),
    "an unknown value": (
        "thing: cup\ncolour: gren\n",
        "thing.yaml:2: unknown value `gren` for `colour` in thing `cup`. Did you mean `green`?",
    ),
    "an unknown kind": (
        "thing: cup\nshape: {kind: rond, radius: 1}\n",
        "thing.yaml:2: unknown value `rond` for `kind` in `shape` in thing `cup`. Did you mean `round`?",
    ),
    "no kind": (
        "thing: cup\nshape: {radius: 1}\n",
        "thing.yaml:2: `shape` in thing `cup` lacks the key `kind`. Expected `round`, `square`.",
    ),
    "a kind that is a list": (
        "thing: cup\nshape: {kind: [round]}\n",
        "thing.yaml:2: expected a name for `kind` in `shape` in thing `cup`, found a list.",
    ),
    "the key of another kind": (
        "thing: cup\nshape: {kind: square, radius: 1}\n",
        "thing.yaml:2: unknown key `radius` in two sided `shape`. Expected `kind`, `side`.",
    ),
    "text as a key where a number is due": (
        "thing: cup\nby-seed: {one: 1}\n",
        "thing.yaml:2: expected a whole number as a key of `by-seed` in thing `cup`, found `one`.",
    ),
    "a list as a key": (
        "thing: cup\n[a]: 1\n",
        "thing.yaml:2: expected text as a key of thing `cup`, found a list.",
    ),
    "a mapping as a key where anything goes": (
        "thing: cup\nanything: {{a: 1}: 1}\n",
        "thing.yaml:2: expected text as a key of `anything` in thing `cup`, found a mapping.",
    ),
    "an anchor": (
        "thing: &it cup\n",
        "thing.yaml:1: not valid YAML: anchors, aliases and tags are not supported; write the value out.",
    ),
    "a tag": (
        "thing: cup\nsize: !!float 1\n",
        "thing.yaml:2: not valid YAML: anchors, aliases and tags are not supported; write the value out.",
    ),
    "Python in YAML": (
        "thing: !!python/object/apply:os.getcwd []\n",
        "thing.yaml:1: not valid YAML: anchors, aliases and tags are not supported; write the value out.",
    ),
    "an open bracket": (
        "thing: cup\ntags: [blue\n",
        "thing.yaml:3: not valid YAML: expected ',' or ']', but got '<stream end>'.",
    ),
    "a tabulator": (
        "thing: cup\nparts:\n\thandle: 1\n",
        "thing.yaml:3: not valid YAML: found character '\\t' that cannot start any token.",
    ),
    "two documents": (
        "thing: cup\n---\nthing: pot\n",
        "thing.yaml:2: not valid YAML: but found another document.",
    ),
    "a control character": (
        "thing: cup\nsize: 1\x07\n",
        "thing.yaml:2: not valid YAML: the character U+0007 is not allowed. Remove it.",
    ),
    "another encoding": (
        "thing: cup\ntags: [grün]\n".encode("latin-1"),
        "thing.yaml:2: not UTF-8 text. Save the file as UTF-8.",
    ),
    "an empty file": ("# nothing yet\n", "thing.yaml:1: the file is empty."),
    "brackets without end": ("[" * 5000, "thing.yaml: nested too deeply to be a declaration."),
    "a record's own rule": (
        "first:\n  value: 2\n",
        "thing.yaml:1: a share is at most 1.",
        Shares,
    ),
    "a record's own rule under a key": (
        "first:\n  value: 1\nothers:\n  second: {value: 2}\n",
        "thing.yaml:3: a share is at most 1.",
        Shares,
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_every_mistake_is_one_message_with_file_and_line(mistake, write):
    text, message, *type_ = MISTAKES[mistake]
    with pytest.raises(MedbenchError) as caught:
        load_yaml(write(text), type_[0] if type_ else Thing)
    assert str(caught.value) == message


def test_a_missing_file_is_named_with_the_nearest_one(write):
    write("thing: cup\n")
    with pytest.raises(MedbenchError) as caught:
        load_yaml(Path("things.yaml"), Thing)
    assert str(caught.value) == (
        "things.yaml: cannot be read (No such file or directory). Did you mean `thing.yaml`?"
    )


def test_a_folder_in_place_of_a_file_is_not_called_misspelt(write):
    write("thing: cup\n")
    Path("own.yaml").mkdir()
    with pytest.raises(MedbenchError) as caught:
        load_yaml(Path("own.yaml"), Thing)
    assert str(caught.value) == "own.yaml: cannot be read (Is a directory)."


def test_a_file_elsewhere_is_named_by_its_whole_path(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    (tmp_path / "thing.yaml").write_text("size: 1\n")
    with pytest.raises(MedbenchError) as caught:
        load_yaml(tmp_path / "thing.yaml", Thing)
    assert str(caught.value) == f"{tmp_path}/thing.yaml:1: thing lacks the key `thing`."


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("no", "no"),
        ("yes", "yes"),
        ("true", "true"),
        ("017", "017"),
        ("0.10.2", "0.10.2"),
        ("1e5", "1e5"),
        ("2026-12-01", "2026-12-01"),
        ("12:30", "12:30"),
        ("'null'", "null"),
        ("=", "="),
    ],
)
def test_text_is_text_whatever_it_looks_like(text, expected, write):
    assert load_yaml(write(f"thing: {text}\n"), Thing).thing == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("1e-4", 1e-4), ("1E5", 1e5), (".5", 0.5), ("5.", 5.0), ("+3", 3.0), ("-0.0", 0.0), ("017", 17.0)],
)
def test_numbers_are_those_of_yaml_1_2(text, expected, write):
    size = load_yaml(write(f"thing: cup\nsize: {text}\n"), Thing).size
    assert size == expected
    assert isinstance(size, float)


@pytest.mark.parametrize(("text", "expected"), [("0o17", 15), ("0x1F", 31), ("017", 17), ("-3", -3)])
def test_whole_numbers_are_those_of_yaml_1_2(text, expected, write):
    assert load_yaml(write(f"thing: cup\ncount: {text}\n"), Thing).count == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("blue", "blue"),
        ("[blue, 1]", ["blue", "1"]),
        ("{name: lid}", Part(name="lid")),
        ("", None),
        ("7", "7"),
    ],
)
def test_a_union_is_read_by_what_the_file_says(text, expected, write):
    assert load_yaml(write(f"thing: cup\nmixed: {text}\n"), Thing).mixed == expected


def test_a_number_is_preferred_to_text(write):
    assert load_yaml(write("thing: cup\nnumber-or-text: 1e-4\n"), Thing).number_or_text == 1e-4
    assert load_yaml(write("thing: cup\nnumber-or-text: 1e-4 m\n"), Thing).number_or_text == "1e-4 m"


def test_where_anything_goes_the_core_schema_decides(write):
    text = "thing: cup\nanything: {a: no, b: 1e-4, c: 017, d: [true, ~, '1', 2026-12-01]}\n"
    assert load_yaml(write(text), Thing).anything == {
        "a": "no",
        "b": 1e-4,
        "c": 17,
        "d": [True, None, "1", "2026-12-01"],
    }


def test_a_byte_order_mark_is_no_part_of_the_first_key(write):
    assert load_yaml(write(b"\xef\xbb\xbfthing: cup\n"), Thing).thing == "cup"


def test_a_document_knows_the_line_of_every_value(write):
    document = load_document(
        write("thing: cup\nparts:\n  lid: {name: lid}\n  handle:\n    name: h\ntags:\n- a\n\n- b\n"), Thing
    )
    assert [
        document.line(),
        document.line("parts"),
        document.line("parts", "handle"),
        document.line("parts", "handle", "name"),
        document.line("parts", "lid", "name"),
        document.line("tags", 1),
    ] == [1, 2, 4, 5, 3, 9]
    assert document.line("parts", "handle", "share") == 4, "what was left out stands where its parent does"
    assert str(document.error("tags", 1, message="too blue.")) == "thing.yaml:9: too blue."


WORDS = st.text(max_size=12) | st.sampled_from(
    ["no", "1e-4", "0o7", "null", "~", "a: b", "- x", "# y", ".inf"]
)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
PARTS = st.builds(Part, name=WORDS, share=NUMBERS)
THINGS = st.builds(
    Thing,
    thing=WORDS,
    size=NUMBERS,
    count=st.integers(-(10**9), 10**9),
    flag=st.booleans(),
    tags=st.lists(WORDS),
    part=st.none() | PARTS,
    parts=st.dictionaries(WORDS, PARTS),
    by_seed=st.dictionaries(st.integers(0, 99), NUMBERS),
    shape=st.none() | st.builds(Round, radius=NUMBERS) | st.builds(TwoSided, side=st.integers(0, 9)),
)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(THINGS)
def test_what_is_dumped_is_read_back(tmp_path, thing):
    path = tmp_path / "dumped.yaml"
    path.write_text(dump_yaml([thing]), encoding="utf-8")
    assert load_yaml(path, list[Thing]) == [thing]


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text() | st.recursive(WORDS | NUMBERS | st.none(), st.lists).map(yaml.safe_dump))
def test_no_text_gets_past_as_anything_but_a_message_or_a_record(tmp_path, text):
    path = tmp_path / "any.yaml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    try:
        result = load_yaml(path, Thing)
    except MedbenchError as error:
        result = str(error)
    assert isinstance(result, Thing) or (result.startswith(str(path)) and "\n" not in result)


def test_a_dump_has_one_line_a_value_and_small_records_on_one_line():
    class Samples(msgspec.Struct):
        baseline: dict[int, float]

    class Entry(msgspec.Struct, rename="kebab"):
        item: str
        rule: Part
        new_samples: Samples

    entry = Entry("chest/ood/icu", Part(name="1e-4", share=0.5), Samples({1: 0.81234, 2: 0.8}))
    assert dump_yaml([entry]) == (
        "- item: chest/ood/icu\n"
        "  rule: {name: '1e-4', share: 0.5}\n"
        "  new-samples:\n"
        "    baseline:\n"
        "      1: 0.81234\n"
        "      2: 0.8\n"
    )


def test_records_at_the_top_of_a_dump_have_one_line_a_value():
    assert dump_yaml([Part(name="lid")]) == "- name: lid\n  share: 1.0\n"
    assert dump_yaml(Part(name="lid")) == "name: lid\nshare: 1.0\n"
