import json
import re
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medbench import identity
from medbench.identity import NAMES_ONLY, code_fingerprint, run_id, shape_of, shapes_of, spec_id, why_new
from medbench.record import RunRecord
from medbench.spec.runs import ResolvedRecipe, RunSpec
from medbench.store import Store
from tests import runs


def leaves(value, path=()):
    """Every scalar of nested builtins with its path."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from leaves(inner, (*path, key))
    elif isinstance(value, list):
        for i, inner in enumerate(value):
            yield from leaves(inner, (*path, i))
    else:
        yield path, value


def changed(spec, path):
    """The spec with one scalar changed."""
    tree = json.loads(msgspec.json.encode(spec))
    place = tree
    for key in path[:-1]:
        place = place[key]
    value = place[path[-1]]
    if path[-1] in CHOICES:
        place[path[-1]] = CHOICES[path[-1]]
    else:
        place[path[-1]] = (
            (not value) if isinstance(value, bool) else value + ("x" if isinstance(value, str) else 1)
        )
    return msgspec.convert(tree, RunSpec)


def dotted(path):
    return ".".join(key for key in path if isinstance(key, str))


CHOICES = {"kind": "multi-label", "aspect": "kept", "precision": "bfloat16"}
ALL = list(leaves(json.loads(msgspec.json.encode(runs.spec()))))


@pytest.mark.parametrize("path", [path for path, _ in ALL], ids=lambda path: ".".join(map(str, path)))
def test_every_field_but_the_names_gives_another_id(path):
    same = spec_id(changed(runs.spec(), path)) == spec_id(runs.spec())
    assert same == (dotted(path) in NAMES_ONLY)


def test_every_name_that_is_left_out_is_a_field():
    assert set(NAMES_ONLY) <= {dotted(path) for path, _ in ALL}


def test_the_id_of_a_spec_stays_what_it_is():
    """Committed reference runs are found by it: raise HASH_SCHEME, and make them anew, to change it."""
    assert spec_id(runs.spec()) == "bbf2172d5b42c5b81f8e"


@given(seed=st.integers(0, 2**32), fraction=st.floats(1e-6, 1))
def test_a_spec_that_was_written_and_read_keeps_its_id(seed, fraction):
    spec = runs.spec(seed=seed, fraction=fraction)
    again = msgspec.json.decode(msgspec.json.encode(spec), type=RunSpec)
    assert spec_id(again) == spec_id(spec)


def test_a_record_that_does_not_say_whose_recipe_it_was_is_read_and_keeps_its_id():
    older = json.loads(msgspec.json.encode(runs.spec(own_recipe=True)))
    del older["own_recipe"]
    again = msgspec.convert(older, RunSpec)
    assert not again.own_recipe
    assert spec_id(again) == spec_id(runs.spec(own_recipe=True)) == spec_id(runs.spec())


ACCEPTED = sorted(Path("expectations/embedded/runs").glob("*/*/record.json"))


def test_every_reference_run_lies_under_the_id_of_its_spec():
    accepted = {path: msgspec.json.decode(path.read_bytes(), type=RunRecord) for path in ACCEPTED}
    assert accepted
    assert [path for path, record in accepted.items() if spec_id(record.spec) != path.parent.name] == []


class LaterRecipe(ResolvedRecipe, frozen=True, kw_only=True):
    """As a later version of medbench might have it."""

    aspect: str = "squashed"
    layers: tuple[str, ...] = msgspec.field(default_factory=tuple)


class LaterSpec(RunSpec, frozen=True, kw_only=True):
    """With a field of its own and with others in a record that it holds."""

    recipe: LaterRecipe
    replicas: int = 32


def later(**changes):
    """A spec of today as the later version reads it, and what is new in it."""
    spec = msgspec.convert(json.loads(msgspec.json.encode(runs.spec())), LaterSpec)
    recipe = {name: value for name, value in changes.items() if name in ("aspect", "layers")}
    own = {name: value for name, value in changes.items() if name == "replicas"}
    return msgspec.structs.replace(spec, recipe=msgspec.structs.replace(spec.recipe, **recipe), **own)


def test_fields_that_came_later_count_only_where_they_differ_from_their_default():
    new = [later(aspect="kept"), later(layers=("a",)), later(replicas=16)]
    assert spec_id(later()) == spec_id(runs.spec())
    assert len({spec_id(spec) for spec in [later(), *new]}) == 4
    assert spec_id(later(aspect="squashed", layers=(), replicas=32)) == spec_id(later())


DEFAULTS = {
    "backbone.module": "",
    "backbone.distribution": "",
    "recipe.aspect": "squashed",
    "recipe.precision": "float32",
    "own_recipe": False,
}
"""What a spec was before it had these fields. Lines are added, and none is ever changed or removed."""


def test_a_default_of_a_spec_never_changes():
    now = identity._defaults(RunSpec)
    changed = [name for name, value in DEFAULTS.items() if name not in now or now[name] != value]
    assert not changed, (
        f"{changed}: a default that is in DEFAULTS must never be changed: ids leave out what equals it, so "
        "that new specs would take the ids of runs that were made otherwise. Put it back, and let the "
        "declarations say another value; or raise HASH_SCHEME and make the reference runs anew."
    )
    new = sorted(now.keys() - DEFAULTS.keys())
    assert not new, (
        f"{new}: add them to DEFAULTS if these fields are new, with what runs did before there were such "
        "fields. A field that was there without a default must not get one: it gives its runs other ids."
    )


def test_a_change_of_a_later_field_is_told():
    assert identity._spec_changes(later(), later(aspect="kept")) == ["recipe.aspect (squashed → kept)"]


def test_the_shape_of_a_run_is_its_backbone_and_recipe_also_when_it_was_written_and_read():
    spec = runs.spec()
    spec = msgspec.structs.replace(
        spec, backbone=msgspec.structs.replace(spec.backbone, weights_sha256="0123456789abcdef" * 4)
    )
    shape = shape_of(spec)
    assert shape["recipe.steps"] == str(spec.recipe.steps)
    assert shape["recipe.precision"] == "float32"
    assert shape["backbone.weights_sha256"] == "0123456789ab"
    assert {name.partition(".")[0] for name in shape} == {"backbone", "recipe"}
    assert not {"recipe.name", "backbone.name"} & shape.keys()
    assert shape_of(msgspec.json.decode(msgspec.json.encode(spec), type=RunSpec)) == shape


def test_of_two_specs_of_an_arm_the_last_is_told():
    before = runs.spec()
    after = msgspec.structs.replace(before, recipe=msgspec.structs.replace(before.recipe, steps=7))
    assert shapes_of([before, after])[before.task][before.arm]["recipe.steps"] == "7"


def test_the_run_id_follows_spec_and_code():
    spec = runs.spec()
    ids = {run_id(spec, "a"), run_id(spec, "b"), run_id(runs.spec(seed=2), "a")}
    assert len(ids) == 3
    assert all(len(name) == 20 and int(name, 16) >= 0 for name in ids)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("XLA_FLAGS", "--xla_cpu_max_isa=AVX2"),
        ("JAX_PLATFORMS", "tpu"),
        ("JAX_ENABLE_X64", "1"),
        ("JAX_DEFAULT_MATMUL_PRECISION", "bfloat16"),
    ],
)
def test_another_device_or_setting_is_another_code(monkeypatch, name, value):
    before = code_fingerprint()
    monkeypatch.setenv(name, value)
    assert code_fingerprint() != before


def test_the_order_of_xla_flags_means_nothing(monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "--a=1 --b=2")
    before = code_fingerprint()
    monkeypatch.setenv("XLA_FLAGS", " --b=2  --a=1")
    assert code_fingerprint() == before


def test_another_version_of_a_library_is_another_code(monkeypatch):
    before = code_fingerprint()
    monkeypatch.setattr(identity, "library_versions", lambda: {"jax": "0.99"})
    assert code_fingerprint() != before


@pytest.fixture
def package(tmp_path):
    """A tiny medbench: what fine-tuning imports, directly or not, and what it does not."""
    files = {
        "training/loop.py": (
            "from medbench.training import step\n\ndef fine_tune():\n    import medbench.models.bit\n"
        ),
        "training/step.py": '"""Steps."""\nRATE = 1\n',
        "training/pretrain.py": "STEPS = 1\n",
        "models/bit.py": "EPSILON = 1\n",
        "data/sources.py": "from medbench.data.folder import open_folder\nfrom medbench import metrics\n",
        "data/folder.py": "def open_folder():\n    pass\n",
        "data/decoded.py": "",
        "data/phantoms/chest.py": "RIBS = 12\n",
        "metrics/__init__.py": "",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def digest(package):
    return identity._sources_digest.__wrapped__(package)


@pytest.mark.parametrize(
    "file",
    [
        "training/loop.py",
        "training/step.py",
        "models/bit.py",
        "data/sources.py",
        "data/folder.py",
        "data/phantoms/chest.py",
    ],
)
def test_changed_code_that_shapes_numbers_is_another_code(package, file):
    before = digest(package)
    with (package / file).open("a") as source:
        source.write("CHANGED = 1\n")
    assert digest(package) != before


@pytest.mark.parametrize("file", ["training/pretrain.py", "metrics/__init__.py"])
def test_changed_code_that_fine_tuning_does_not_use_is_the_same_code(package, file):
    before = digest(package)
    with (package / file).open("a") as source:
        source.write("CHANGED = 1\n")
    assert digest(package) == before


def test_comments_docstrings_and_layout_are_not_code(package):
    before = digest(package)
    (package / "training/step.py").write_text('"""Other words."""\n\n\nRATE = 1  # the rate\n')
    (package / "data/folder.py").write_text('def open_folder():\n    """Open it."""\n    pass\n')
    assert digest(package) == before


def test_tokens_are_the_same_however_they_are_laid_out_and_by_every_python(package):
    """The digest is written down, so that a Python that reads a module otherwise fails here."""
    written = (
        'def f(a, b):\n    """Doc."""\n    # why\n    return f"{a!r}{f\'{b}\'}" + {\n        1: b\n    }[1]\n'
    )
    assert identity._bare_code(written) == [
        *("def", "f", "(", "a", ",", "b", ")", ":", ""),
        *("INDENT", "return", "f\"{a!r}{f'{b}'}\"", "+", "{", "1", ":", "b", "}", "[", "1", "]", ""),
        *("DEDENT", ""),
    ]
    assert identity._bare_code(written.replace("{\n        1: b\n    }", "{1: b}")) == identity._bare_code(
        written
    )
    assert identity._bare_code(written.replace("b}'}", "a}'}")) != identity._bare_code(written)


def test_the_modules_that_shape_numbers_are_found():
    digested = []
    original = identity._digest
    try:
        identity._digest = lambda value: digested.append(value) or original(value)
        identity._sources_digest.__wrapped__()
    finally:
        identity._digest = original
    assert {
        "data/sources.py",
        "data/folder.py",
        "data/images.py",
        "data/phantoms/chest.py",
        "data/phantoms/texture.py",
        "data/splits.py",
        "models/bit.py",
        "models/npz.py",
        "training/hyperrule.py",
        "training/loop.py",
        "training/step.py",
        "training/streams.py",
    } <= set(digested[0])
    assert not {"training/pretrain.py", "training/pretrain_cli.py"} & set(digested[0])


def test_planning_with_a_store_imports_neither_jax_nor_pyarrow():
    code = "import medbench.execute.local, sys; print(sorted({'jax', 'pyarrow'} & set(sys.modules)))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "[]\n"


def stored(folder, *records):
    store = Store(folder)
    for record in records:
        store.put(record, {}, {})
    return store


def test_an_empty_store_has_nothing_to_compare_with(tmp_path):
    assert why_new(runs.spec(), Store(tmp_path)) == ""


def test_a_new_run_is_explained_by_the_nearest_stored_one(tmp_path):
    other = runs.record(runs.spec(seed=7))
    far = runs.record(runs.spec(recipe={"steps": 90, "batch_size": 8}))
    near = runs.record(runs.spec(recipe={"steps": 150}))
    store = stored(tmp_path, other, far, near)
    assert why_new(runs.spec(), store) == "changed: recipe.steps (150 → 3)"


def test_a_run_of_another_seed_explains_nothing(tmp_path):
    assert why_new(runs.spec(seed=2), stored(tmp_path, runs.record(runs.spec(seed=1)))) == ""
    assert why_new(runs.spec(cohort="folder:another"), stored(tmp_path, runs.record(runs.spec()))) == ""


def test_a_run_under_the_tiers_recipe_does_not_explain_one_under_a_recipe_of_its_own(tmp_path):
    own = runs.spec(own_recipe=True, recipe={"name": "long", "steps": 9})
    assert why_new(own, stored(tmp_path, runs.record(runs.spec()))) == ""


@pytest.mark.parametrize(
    ("environment", "explanation"),
    [
        ({"libraries": {**identity.library_versions(), "jax": "0.9"}}, r"jax \(0\.9 → 0\.\d+"),
        ({"device_class": "tpu"}, r"device \(tpu → cpu\)"),
        ({"xla_flags": "--a"}, r"XLA_FLAGS \(--a → none\)"),
        ({}, "the settings of jax"),
    ],
)
def test_changed_surroundings_are_named(tmp_path, monkeypatch, environment, explanation):
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    monkeypatch.delenv("XLA_FLAGS", raising=False)
    record = runs.record(code=code_fingerprint()[:12] + "-" + "0" * 12)
    then = msgspec.structs.replace(
        record.environment, **{"libraries": identity.library_versions(), **environment}
    )
    store = stored(tmp_path, msgspec.structs.replace(record, environment=then))
    found = why_new(runs.spec(), store)
    assert re.fullmatch(f"changed: {explanation}.*", found)
    assert "the code" not in found


def test_long_hashes_are_shown_by_their_first_digits(tmp_path):
    store = stored(tmp_path, runs.record(runs.spec(cohort_fingerprint="ab" * 32)))
    assert "cohort_fingerprint (abababab… → cdcdcdcd…)" in why_new(
        runs.spec(cohort_fingerprint="cd" * 32), store
    )
