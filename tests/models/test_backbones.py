"""Backbones of other packages: the example of docs/weights.md from package to record, and mistakes."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import msgspec
import numpy as np
import pytest
import yaml

from medbench import metrics
from medbench.errors import MedbenchError, NotHereError
from medbench.execute.local import obtain
from medbench.identity import spec_id
from medbench.models import backbones, bit, timm, weights
from medbench.plan import backbone_spec
from medbench.reference import References
from medbench.spec.suite import load_suite
from medbench.store import Store
from tests import runs

PAGE = (Path(__file__).parents[2] / "docs/weights.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```\w+\n# (\S+)\n(.*?)```", PAGE, re.DOTALL)


def example(name):
    """What the page shows of a file; of one that it shows several times, all of it."""
    return [text for file, text in EXAMPLES if file == name]


def install(folder, code, *, name="my-cnn", version="1.0", entry="my-cnn = my_cnn"):
    """What pip leaves of a package: its module, and its metadata beside it."""
    (folder / "my_cnn.py").write_text(code)
    info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (info / "entry_points.txt").write_text(f"[medbench.backbones]\n{entry}\n")
    return info


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A folder of installed packages, and nothing remembered of those of other tests."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    monkeypatch.delitem(sys.modules, "my_cnn", raising=False)
    backbones.backbone.cache_clear()
    yield folder
    backbones.backbone.cache_clear()
    sys.modules.pop("my_cnn", None)


@pytest.fixture
def suite(site, tmp_path):
    """A repository that declares all that the page shows, and has the example installed."""
    install(site, *example("my_cnn.py"))
    root = tmp_path / "benchmarks"
    root.mkdir()
    (root / "suite.yaml").write_text("extends: medbench\n")
    declared = {"architectures": {}, "upstreams": {}}
    for text in example("benchmarks/backbones.yaml"):
        for kind, entries in yaml.safe_load(text).items():
            declared[kind] |= entries
    (root / "backbones.yaml").write_text(yaml.safe_dump(declared))
    (root / "metrics.yaml").write_text(*example("benchmarks/metrics.yaml"))
    arrays = jax.device_get(
        backbones.backbone("my-cnn").module(1).init(jax.random.key(0), jnp.zeros((1, 32, 32, 3)))["params"]
    )
    body = {
        f"{layer}/{leaf}": array
        for layer, leaves in arrays.items()
        for leaf, array in leaves.items()
        if layer != "head"
    }
    np.savez(root / "archive-my-cnn.npz", **body)
    return root


def trained(root, name, tmp_path, **changes):
    """A run of a few steps from the named backbone, stored."""
    loaded = load_suite(root)
    backbone = backbone_spec(loaded, name)
    spec = msgspec.structs.replace(runs.spec(**changes), backbone=backbone)
    store = Store(tmp_path / "store")
    return obtain(
        spec,
        cohort=runs.NoiseCohort(sizes={"train": 12, "validation": 10, "id": 10, "phone": 6}),
        store=store,
        references=References(tmp_path / "references"),
        mode="auto",
        sentinel=False,
        weights=weights.find(backbone.weights, root) if backbone.weights else None,
        report=lambda event: None,
    )


def test_the_pages_example_is_fine_tuned_with_its_own_stages(suite, tmp_path):
    run = trained(suite, "bit-archive-my-cnn", tmp_path)
    assert list(run.record.feature_reuse) == ["stage1", "stage2", "stage3"]
    assert set(run.record.weight_distance) == {"stage1", "stage2", "stage3", "head"}
    assert run.record.trace[0].loss == pytest.approx(np.log(2), rel=1e-5)  # a head of zeros
    backbone = run.record.spec.backbone
    assert (backbone.module, backbone.distribution, backbone.blocks) == ("my-cnn", "my-cnn 1.0", ())
    sample = metrics.Sample(run.predictions("id"), record=run.record)
    declared = load_suite(suite).metrics
    value, reason = metrics.evaluate(metrics.metric_named("reuse-stage2", declared), sample)
    assert value == pytest.approx(run.record.feature_reuse["stage2"]), reason
    block = msgspec.structs.replace(declared["reuse-stage2"], stage="block4")
    value, reason = metrics.evaluate(metrics.metric_named("block", {"block": block}), sample)
    assert value is None
    assert reason == "the run's record has no reuse of stage `block4`; there are stage1, stage2, stage3"


def test_a_random_start_follows_the_seed(suite, tmp_path):
    first, other = (trained(suite, "bit-random-my-cnn", tmp_path, seed=seed) for seed in (1, 2))
    drawn = [backbones.init_params("my-cnn", classes=2, size=32, seed=seed) for seed in (1, 1, 2)]
    kernels = [params["stage1_conv"]["kernel"] for params in drawn]
    assert np.array_equal(kernels[0], kernels[1])
    assert not np.array_equal(kernels[0], kernels[2])
    assert not np.array_equal(first.predictions("id").logits, other.predictions("id").logits)


def test_a_file_of_ones_own_in_timms_naming_is_fine_tuned(suite, tmp_path):
    safetensors = pytest.importorskip("safetensors.numpy", reason="the extra `hub` is not installed")
    params = bit.init_params((1, 1, 1, 1), 0.25, 40, np.random.default_rng(0))
    arrays = {
        timm.name_of(tuple(key.key for key in path)): np.ascontiguousarray(
            leaf.transpose(3, 2, 0, 1) if leaf.ndim == 4 else leaf
        )
        for path, leaf in jax.tree.leaves_with_path(params)
    }
    safetensors.save_file(arrays, suite / "films-r14x0.25.safetensors")
    run = trained(suite, "bit-films-r14x0.25", tmp_path)
    assert run.record.spec.backbone.weights_sha256 == weights.sha256(suite / "films-r14x0.25.safetensors")
    assert "pre_logits" in run.record.feature_reuse


def test_another_version_of_the_package_is_another_run(suite, site):
    before = backbone_spec(load_suite(suite), "bit-archive-my-cnn")
    (site / "my_cnn-1.0.dist-info").rename(site / "my_cnn-1.1.dist-info")
    metadata = site / "my_cnn-1.1.dist-info/METADATA"
    metadata.write_text(metadata.read_text().replace("1.0", "1.1"))
    after = backbone_spec(load_suite(suite), "bit-archive-my-cnn")
    assert (before.distribution, after.distribution) == ("my-cnn 1.0", "my-cnn 1.1")
    specs = [msgspec.structs.replace(runs.spec(), backbone=backbone) for backbone in (before, after)]
    assert spec_id(specs[0]) != spec_id(specs[1])
    with pytest.raises(MedbenchError, match=r"is of my-cnn 1\.1 here, and of my-cnn 1\.0 in the plan"):
        backbones.require("my-cnn", "my-cnn 1.0")


def test_a_package_that_is_not_installed_is_not_here(suite, site):
    shutil.rmtree(site)
    with pytest.raises(NotHereError, match="backbone module `my-cnn` is not installed"):
        backbone_spec(load_suite(suite), "bit-archive-my-cnn")


def test_two_packages_with_the_same_entry_point_are_told_apart_by_nobody(site):
    install(site, *example("my_cnn.py"))
    install(site, *example("my_cnn.py"), name="other")
    with pytest.raises(MedbenchError, match=r"is an entry point of my-cnn and of other\. Uninstall one"):
        backbones.distribution("my-cnn")


def test_planning_with_a_module_imports_neither_it_nor_jax(suite, site):
    code = (
        f"import sys; sys.path.insert(0, {str(site)!r})\n"
        "from medbench.models.backbones import distribution\n"
        "print(distribution('my-cnn')); sys.exit(bool({'jax', 'flax', 'my_cnn'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "my-cnn 1.0\n"), done.stderr


(CODE,) = example("my_cnn.py")
MISTAKES = {
    "cannot be imported": (
        "import numpy as np\n",
        "import nowhere\n",
        "cannot be loaded: ModuleNotFoundError",
    ),
    "has no load": ("def load(", "def read(", "has no function `load`: expected `module(classes)`"),
    "has other state": (
        "nn.GroupNorm(8, ",
        "nn.BatchNorm(True, ",
        "has state beside its parameters (batch_stats)",
    ),
    "gives logits alone": (
        'head(stages["stage3"]), stages',
        'head(stages["stage3"])',
        "expected logits (1, 2) and",
    ),
    "gives maps": (".mean(axis=(1, 2))", "", "gives "),
    "gives too few logits": ("nn.Dense(self.classes", "nn.Dense(1", "gives logits (1, 1) for one image"),
    "fails": ("x, stages = images, {}", "raise ValueError('no')", "images of 32 pixels: ValueError: no"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_module_that_is_no_backbone_is_one_message(site, mistake):
    right, wrong, message = MISTAKES[mistake]
    assert right in CODE
    install(site, CODE.replace(right, wrong))
    with pytest.raises(MedbenchError) as caught:
        backbones.init_params("my-cnn", classes=2, size=32, seed=1)
    assert str(caught.value).startswith("backbone module `my-cnn`")
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda arrays: arrays.pop("stage1_conv/bias"), "lacks array `stage1_conv/bias`"),
        (
            lambda arrays: arrays.update({"stage4_conv/bias": np.zeros(2)}),
            "has the unknown array `stage4_conv/bias`",
        ),
        (
            lambda arrays: arrays.update({"stage1_conv/bias": np.zeros(2, np.float32)}),
            "array `stage1_conv/bias` has shape (2,), expected (16,)",
        ),
        (
            lambda arrays: arrays.update({"stage1_conv/bias": np.full(16, np.nan, np.float32)}),
            "array `stage1_conv/bias` has values that are not finite",
        ),
    ],
)
def test_a_file_that_does_not_fit_the_module_is_refused_by_name(suite, change, message):
    path = suite / "archive-my-cnn.npz"
    with np.load(path) as archive:
        arrays = dict(archive)
    change(arrays)
    np.savez(path, **arrays)
    with pytest.raises(MedbenchError) as caught:
        backbones.load_params("my-cnn", path, classes=2, size=32)
    assert str(caught.value).startswith(f"archive-my-cnn.npz: {message}")


def test_a_file_that_the_module_cannot_read_is_one_message(suite):
    path = suite / "archive-my-cnn.npz"
    path.write_bytes(b"PK")
    with pytest.raises(MedbenchError, match=f"{path}: backbone module `my-cnn` cannot load it: "):
        backbones.load_params("my-cnn", path, classes=2, size=32)


def test_without_a_word_on_stages_a_parameter_belongs_to_its_first_name(site):
    install(site, CODE[: CODE.index("def stage_of")])
    assert backbones.stage_of("my-cnn")(("stage1_conv", "kernel")) == "stage1_conv"
