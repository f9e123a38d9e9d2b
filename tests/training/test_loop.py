"""Fine-tuning end to end on a cohort of a few small images: what a run leaves, and what decides it."""

from dataclasses import dataclass, field
from functools import cached_property

import jax
import msgspec
import numpy as np
import pytest

from medbench.data.cohort import Examples
from medbench.data.splits import nested_subset
from medbench.models import bit, npz
from medbench.spec.runs import BackboneSpec, ResolvedRecipe, RunSpec, Target
from medbench.training import loop, mesh, scoring, streams
from medbench.training import step as steps
from medbench.training.hyperrule import learning_rate
from medbench.training.loop import fine_tune, weight_distance
from medbench.training.order import batch_order
from medbench.training.progress import Progress
from tests.training.linear import Linear, linear_params

SIZES = {"train": 40, "validation": 10, "id": 22, "elsewhere": 7}
BLOCKS, WIDTH = (1, 1, 1, 1), 1 / 4


@dataclass
class Plain:
    """Patients with two images each; the positive ones have coarse stripes, the others noise."""

    name: str = "test:plain"
    target: Target = field(default_factory=lambda: Target(kind="single-label", classes=("no", "yes")))
    channels: int = 1
    shifts: tuple[str, ...] = ("elsewhere",)

    @cached_property
    def _labels(self):
        rng = np.random.default_rng(0)
        if self.target.kind == "single-label":
            return {name: np.eye(2, dtype=np.int8)[np.arange(n) % 4 // 2] for name, n in SIZES.items()}
        return {name: rng.integers(-1, 2, size=(n, 2)).astype(np.int8) for name, n in SIZES.items()}

    def examples(self, split):
        n = SIZES[split]
        patient = np.array([f"{split}-{i // 2}" for i in range(n)])
        image = np.array([f"{split}/{i}.png" for i in range(n)])
        return Examples(image, patient, self._labels[split], {"sex": np.array(["f", "m"] * n)[:n]})

    def images(self, split, size):
        rng = np.random.default_rng([len(split), size])
        shape = (SIZES[split], size, size, self.channels)
        noise = rng.integers(0, 128, size=shape)
        stripes = np.where(np.arange(size) // 4 % 2, 127, 0)[None, :, None, None]
        return (noise + stripes * self._labels[split][:, 1, None, None, None].clip(0)).astype(np.uint8)


def spec(cohort=None, *, fraction=1.0, seed=1, name="bit-random-tiny", sets=("id", "elsewhere"), **recipe):
    settings = ResolvedRecipe(
        name="tiny", steps=6, batch_size=8, base_learning_rate=0.01, momentum=0.9, warmup_steps=1,
        decay_steps=(4,), mixup_alpha=0.0, resize=20, crop=16, horizontal_flip=True,
    )  # fmt: skip
    return RunSpec(
        tier="test", task="dermatology", cohort="test:plain", cohort_fingerprint="",
        target=(cohort or Plain()).target, evaluation_sets=sets,
        backbone=BackboneSpec(
            name=name, upstream="random", architecture="tiny", blocks=BLOCKS, width=WIDTH, weights="",
            weights_sha256="",
        ),
        recipe=msgspec.structs.replace(settings, **recipe), fraction=fraction, seed=seed,
    )  # fmt: skip


def run(spec, cohort=None, *, weights=None, report=lambda progress: None):
    cohort = cohort or Plain()
    return fine_tune(spec, cohort, weights=weights, images=cohort.images, report=report)


@pytest.fixture(scope="module")
def told():
    return []


@pytest.fixture(scope="module")
def tuned(told):
    return run(spec(), report=told.append)


def assert_same(one, two):
    """Equal to the byte."""
    assert one.predictions.keys() == two.predictions.keys()
    for name, predictions in one.predictions.items():
        assert predictions.logits.tobytes() == two.predictions[name].logits.tobytes()
    for name, features in one.features.items():
        assert features.tobytes() == two.features[name].tobytes()
    assert (one.trace, one.validation, one.weight_distance) == (
        two.trace,
        two.validation,
        two.weight_distance,
    )


def test_the_same_run_twice_gives_the_same_bytes(tuned):
    assert_same(tuned, run(spec()))


def test_names_of_tier_and_backbone_do_not_move_a_number(tuned):
    assert_same(tuned, run(msgspec.structs.replace(spec(name="another"), tier="other")))


def test_another_seed_is_another_run(tuned):
    other = run(spec(seed=2))
    assert not np.array_equal(tuned.predictions["id"].logits, other.predictions["id"].logits)


def test_every_image_of_every_set_is_scored_once_beside_its_own_labels(tuned):
    assert list(tuned.predictions) == ["validation", "id", "elsewhere"]
    for name, predictions in tuned.predictions.items():
        examples = Plain().examples(name)
        assert predictions.evaluation_set == name
        assert predictions.logits.shape == (SIZES[name], 2)
        assert predictions.logits.dtype == np.float32
        np.testing.assert_array_equal(predictions.image, examples.image)
        np.testing.assert_array_equal(predictions.patient, examples.patient)
        np.testing.assert_array_equal(predictions.labels, examples.labels)
        np.testing.assert_array_equal(predictions.attributes["sex"], examples.attributes["sex"])


def test_the_trace_has_the_loss_of_a_zero_head_first_and_the_recipes_rates(tuned):
    recipe = spec().recipe
    assert [logged.step for logged in tuned.trace] == list(range(6))
    assert tuned.trace[0].loss == pytest.approx(np.log(2), rel=1e-5)
    assert [logged.learning_rate for logged in tuned.trace] == [learning_rate(recipe, s) for s in range(6)]


def test_validation_is_measured_along_the_way_and_ends_with_the_predictions(tuned):
    # 12, 25, 50 and 75 % of 6 steps are 1, 2, 3 and 4 of them; 3 and 6 % are none.
    assert [measured.step + 1 for measured in tuned.validation] == [1, 2, 3, 4, 6]
    last = tuned.predictions["validation"]
    margins = last.logits[:, 1] - last.logits[:, 0]
    positive, negative = margins[last.labels[:, 1] == 1], margins[last.labels[:, 1] == 0]
    won = (positive[:, None] > negative).mean() + (positive[:, None] == negative).mean() / 2
    assert tuned.validation[-1].value == pytest.approx(won)


def test_features_are_kept_of_the_probe_at_start_and_end(tuned):
    stages = ["root", "block1", "block2", "block3", "block4", "pre_logits"]
    assert set(tuned.features) == {f"{when}/{stage}" for when in ("start", "end") for stage in stages}
    channels = [16, 64, 128, 256, 512, 512]
    for when in ("start", "end"):
        shapes = [tuned.features[f"{when}/{stage}"].shape for stage in stages]
        assert shapes == [(22, width) for width in channels]
    assert not np.array_equal(tuned.features["start/block1"], tuned.features["end/block1"])


def test_the_probe_is_the_beginning_of_the_in_distribution_set(tuned, monkeypatch):
    monkeypatch.setattr(loop, "PROBE", 5)
    few = run(spec())
    np.testing.assert_array_equal(few.features["end/block4"], tuned.features["end/block4"][:5])


def test_features_of_the_probe_need_not_be_asked_for(tuned):
    """A run that is scored on a shift alone still leaves features of the in-distribution images."""
    alone = run(spec(sets=("elsewhere",)))
    assert set(alone.predictions) == {"validation", "elsewhere"}
    np.testing.assert_array_equal(alone.features["end/block4"], tuned.features["end/block4"])


def test_progress_reaches_the_end_of_every_stage(tuned, told):
    assert [p for p in told if p.stage == "train"] == [Progress("train", done, 6) for done in range(1, 7)]
    assert [p for p in told if p.stage == "evaluate"] == [Progress("evaluate", done, 3) for done in (1, 2, 3)]


def test_seconds_are_kept_by_stage(tuned):
    assert set(tuned.timings) == {"decode", "compile", "train", "evaluate"}
    assert all(seconds >= 0 for seconds in tuned.timings.values())


def test_a_fraction_trains_on_whole_patients_and_on_no_others(tuned, monkeypatch):
    seen = []
    step = loop.train_step

    def watched(state, images, labels, **rest):
        seen.append(images)
        return step(state, images, labels, **rest)

    monkeypatch.setattr(loop, "train_step", watched)
    half = run(spec(fraction=0.5))
    assert (tuned.train_images, tuned.train_patients) == (40, 20)
    assert (half.train_images, half.train_patients) == (20, 10)
    patients = Plain().examples("train").patient
    allowed = nested_subset(patients, 0.5, streams.sequence(1, streams.SUBSET))
    pool = Plain().images("train", 20)[allowed]
    used = {image.tobytes() for batch in seen for image in batch}
    assert used == {image.tobytes() for image in pool}


def test_arms_of_one_seed_see_the_same_batches_in_the_same_order(monkeypatch, tmp_path):
    seen = {"random": [], "pre-trained": []}
    step = loop.train_step
    weights = tmp_path / "tiny.npz"
    npz.save(weights, bit.init_params(BLOCKS, WIDTH, 5, np.random.default_rng(3)))
    for arm, file in (("random", None), ("pre-trained", weights)):

        def watched(state, images, labels, arm=arm, **rest):
            key = jax.random.key_data(rest["key"]).tolist()
            seen[arm].append((images.tobytes(), labels.tobytes(), key, rest["step"]))
            return step(state, images, labels, **rest)

        monkeypatch.setattr(loop, "train_step", watched)
        run(spec(), weights=file)
    assert seen["random"] == seen["pre-trained"]


def test_batches_and_augmentation_follow_the_seeds_own_streams(monkeypatch):
    seen = []
    step = loop.train_step

    def watched(state, images, labels, **rest):
        seen.append((images.tobytes(), jax.random.key_data(rest["key"]).tolist()))
        return step(state, images, labels, **rest)

    monkeypatch.setattr(loop, "train_step", watched)
    run(spec(seed=4))
    order = batch_order(40, batch_size=8, steps=6, generator=streams.generator(4, streams.ORDER))
    key = jax.random.key_data(steps.random_key(streams.key_seed(4, streams.AUGMENTATION))).tolist()
    pool = Plain().images("train", 20)
    assert seen == [(pool[batch].tobytes(), key) for batch in order]


def test_a_pre_trained_backbone_starts_from_its_file_under_a_head_of_zeros(tmp_path):
    weights = tmp_path / "tiny.npz"
    params = bit.init_params(BLOCKS, WIDTH, 5, np.random.default_rng(3))
    params["head"]["conv2d"]["kernel"] += 1
    npz.save(weights, params)
    tuned = run(spec(base_learning_rate=0.0), weights=weights)
    assert all(np.all(predictions.logits == 0) for predictions in tuned.predictions.values())
    expected = scoring.Scorer(
        npz.adapt_head(params, 2),
        network=steps.Network(BLOCKS, WIDTH, 2),
        batch_size=steps.SCORED_ON_CPU,
        layout=mesh.over(jax.devices()[:1], params),
    ).features(Plain().images("id", 16))
    for stage, values in expected.items():
        np.testing.assert_array_equal(tuned.features[f"start/{stage}"], values)
        np.testing.assert_array_equal(tuned.features[f"end/{stage}"], values)
    assert set(tuned.weight_distance.values()) == {0.0}


def test_training_learns_what_can_be_learned():
    learned = run(spec(steps=60, base_learning_rate=0.01, decay_steps=(40,)))
    assert learned.validation[-1].value > 0.95
    assert learned.trace[-1].loss < 0.3


def test_several_findings_some_unknown_in_colour_with_mixup(monkeypatch):
    """With a network that compiles at once: whatever reaches the step and the metric depends on it little."""
    monkeypatch.setattr(loop, "Network", lambda blocks, width, classes, precision: Linear(classes))
    monkeypatch.setattr(loop, "_initial_params", lambda *_: linear_params(16 * 16 * 3, 2))
    cohort = Plain(target=Target(kind="multi-label", classes=("nodule", "effusion")), channels=3)
    tuned = run(spec(cohort, mixup_alpha=0.2), cohort)
    assert all(np.isfinite(logged.loss) for logged in tuned.trace)
    assert tuned.predictions["elsewhere"].logits.shape == (7, 2)
    assert -1 in tuned.predictions["validation"].labels
    assert tuned.validation[-1].value is not None


def test_runs_of_equal_shapes_share_one_compilation(tuned, monkeypatch):
    """Tracing calls `scale`; a function that is already compiled does not."""

    def traced(images):
        raise AssertionError("compiled again")

    monkeypatch.setattr(steps, "scale", traced)
    assert run(spec(seed=2, fraction=0.5, steps=4, base_learning_rate=0.02)).trace
    with pytest.raises(AssertionError, match="compiled again"):
        run(spec(crop=18))


def test_weight_distance_is_relative_by_stage_and_absolute_for_the_head():
    before = {
        "root_block": {"standardized_conv2d": {"kernel": np.full((1, 1, 2, 2), 2.0, np.float32)}},
        "group_norm": {"gamma": np.array([3.0]), "beta": np.array([4.0])},
        "head": {"conv2d": {"kernel": np.zeros((1, 1, 1, 2), np.float32), "bias": np.zeros(2, np.float32)}},
    }
    after = jax.tree.map(lambda leaf: leaf + 1, before)
    assert weight_distance(before, after) == pytest.approx(
        {"root": np.sqrt(4 / 16), "norm": np.sqrt(2 / 25), "head": np.sqrt(4)}
    )
