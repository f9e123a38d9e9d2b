from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from medbench.data.phantoms.cohort import open_phantoms
from medbench.data.phantoms.domain import SIZE
from medbench.data.phantoms.mammography import DENSITIES, HOME, KINDS, RESIDUE, draw
from medbench.data.phantoms.mammography_breast import Breast, lay_out
from medbench.data.phantoms.mammography_findings import Finding

SPLITS = ("train", "validation", "id", "vendor-b", "dense")
EVALUATED = ("id", "vendor-b", "dense")


@pytest.fixture(scope="module")
def cohort():
    return open_phantoms("mammography")


@pytest.fixture(scope="module")
def some():
    """The first exams of `id` with their pixels: (cohort, examples, cases, images)."""
    small = open_phantoms("mammography", patients=60)
    return small, small.examples("id"), small._rows("id")[2], small.images("id", SIZE)[:, :, :, 0]


def breasts(examples):
    """A name for the breast that each image shows."""
    return np.char.add(examples.patient, examples.attributes["laterality"])


def per_breast(examples, scores, summary=np.mean):
    """Scores of images summarised by breast, in the order of `np.unique`."""
    names = breasts(examples)
    return np.array([summary(scores[names == name]) for name in np.unique(names)])


@pytest.mark.parametrize("split", SPLITS)
def test_an_exam_has_two_breasts_with_one_or_two_different_views_and_most_have_all_four(cohort, split):
    examples = cohort.examples(split)
    views = np.char.add(breasts(examples), examples.attributes["view"])
    assert len(np.unique(views)) == len(examples)
    counts = np.unique(examples.patient, return_counts=True)[1]
    assert set(counts) <= {2, 3, 4}
    assert (counts == 4).mean() > 0.55
    sides = [np.unique(examples.attributes["laterality"][examples.patient == p]) for p in examples.patient]
    assert all(list(side) == ["left", "right"] for side in sides)


@pytest.mark.parametrize("split", SPLITS)
def test_the_views_of_a_breast_share_its_label(cohort, split):
    examples = cohort.examples(split)
    names = breasts(examples)
    for name in np.unique(names):
        assert len(np.unique(examples.labels[names == name], axis=0)) == 1


def test_the_breasts_of_a_patient_are_nearly_independent_and_cancer_in_both_is_rare(cohort):
    sides = []
    for split in SPLITS:
        examples = cohort.examples(split)
        sides.append(per_breast(examples, examples.labels[:, 1], max).reshape(-1, 2))
    left, right = np.concatenate(sides).T
    assert abs(np.corrcoef(left, right)[0, 1]) < 0.1
    assert 0.02 < (left & right).mean() < 0.13


@pytest.mark.parametrize("split", SPLITS)
def test_about_thirty_percent_of_the_breasts_are_malignant(cohort, split):
    examples = cohort.examples(split)
    assert 0.22 < per_breast(examples, examples.labels[:, 1], max).mean() < 0.36


@pytest.mark.parametrize("split", EVALUATED)
def test_each_class_is_shown_by_enough_patients_in_the_set_and_in_its_larger_groups(cohort, split):
    examples = cohort.examples(split)
    for label in (0, 1):
        shown = examples.labels[:, 1] == label
        assert len(np.unique(examples.patient[shown])) >= 25
        for name, values in examples.attributes.items():
            for group in np.unique(values):
                if (values == group).sum() >= 150:
                    assert len(np.unique(examples.patient[shown & (values == group)])) >= 15, (name, group)


@pytest.mark.parametrize("split", SPLITS)
def test_age_density_and_vendor_are_the_patients_and_side_and_view_the_images(cohort, split):
    examples = cohort.examples(split)
    assert set(np.unique(examples.attributes["sex"])) == {"female"}
    assert set(np.unique(examples.attributes["age"])) <= {"40-59", "60-74", "75 and over"}
    assert set(np.unique(examples.attributes["density"])) <= set(DENSITIES)
    assert set(np.unique(examples.attributes["view"])) == {"CC", "MLO"}
    for patient in np.unique(examples.patient):
        for name in ("age", "density", "vendor"):
            assert len(np.unique(examples.attributes[name][examples.patient == patient])) == 1


def test_a_finding_of_every_kind_is_in_benign_breasts_as_often_as_in_malignant_ones(cohort):
    drawn = [case for split in SPLITS for case in cohort._rows(split)[2]]
    kinds = np.array([case.finding.kind for case in drawn])
    malignant = np.array([case.labels[1] == 1 for case in drawn])
    for kind in set(KINDS):
        assert abs((kinds[malignant] == kind).mean() - (kinds[~malignant] == kind).mean()) < 0.06


def test_size_and_place_of_a_finding_say_nothing_of_its_label(cohort):
    drawn = [case for split in SPLITS for case in cohort._rows(split)[2]]
    malignant = [case.labels[1] for case in drawn]
    for measure in ("radius", "depth", "count"):
        score = roc_auc_score(malignant, [getattr(case.finding, measure) for case in drawn])
        assert score == pytest.approx(0.5, abs=0.06), measure


@pytest.mark.parametrize("split", EVALUATED)
def test_two_views_say_more_of_a_breast_than_one(cohort, split):
    examples, oracle = cohort.examples(split), cohort.oracle(split)[:, 1]
    of_images = roc_auc_score(examples.labels[:, 1], oracle)
    truth = per_breast(examples, examples.labels[:, 1], max)
    assert roc_auc_score(truth, per_breast(examples, oracle)) > of_images + 0.005


def test_denser_breasts_hide_more(cohort):
    examples = [cohort.examples(split) for split in SPLITS]
    density = np.concatenate([e.attributes["density"] for e in examples])
    truth = np.concatenate([e.labels[:, 1] for e in examples])
    oracle = np.concatenate([cohort.oracle(split)[:, 1] for split in SPLITS])
    conspicuity = np.array([case.conspicuity for split in SPLITS for case in cohort._rows(split)[2]])
    by_density = [roc_auc_score(truth[density == d], oracle[density == d]) for d in DENSITIES]
    hidden = [(conspicuity[density == d] == RESIDUE).mean() for d in DENSITIES]
    assert by_density[0] > by_density[3] + 0.03
    assert by_density[1] > by_density[3] + 0.02
    assert hidden == sorted(hidden)


def test_the_chest_wall_is_on_the_left_of_a_left_breast_and_on_the_right_of_a_right_one(some):
    _, examples, _, images = some
    left = examples.attributes["laterality"] == "left"
    wall, air = images[:, 40:80, :4].mean(axis=(1, 2)), images[:, 40:80, -4:].mean(axis=(1, 2))
    assert (wall[left] > air[left] + 30).all()
    assert (air[~left] > wall[~left] + 30).all()


def test_oblique_views_have_the_pectoral_muscle_in_the_upper_corner_at_the_chest_wall(some):
    _, examples, _, images = some
    mirrored = np.where(
        (examples.attributes["laterality"] == "right")[:, None, None], images[:, :, ::-1], images
    )
    corner = mirrored[:, :12, :12].mean(axis=(1, 2))
    oblique = examples.attributes["view"] == "MLO"
    assert corner[oblique].min() > 100
    assert np.median(corner[~oblique]) < 60


def test_a_marker_names_side_and_view_upright_in_the_corner_away_from_the_chest_wall(some):
    _, examples, _, images = some
    bright = images[:, :16] > 200
    for row, side, view in zip(
        bright, *(examples.attributes[a] for a in ("laterality", "view")), strict=True
    ):
        half = row[:, SIZE // 2 :] if side == "left" else row[:, : SIZE // 2]
        columns, rows = np.flatnonzero(half.any(axis=0)), np.flatnonzero(half.any(axis=1))
        assert len(rows) == 5
        assert columns[-1] - columns[0] + 1 == {"CC": 15, "MLO": 19}[view]
        letter = half[rows[0] : rows[-1] + 1, columns[0] : columns[0] + 3]
        assert letter[0, 2] == 0
        assert letter[-1].tolist() == ([1, 1, 1] if side == "left" else [1, 0, 1])


def pair(some, kind, low=-2.0, high=2.0, **changes):
    """The first plain case of a kind without and with malignant signs, drawn from one stream; its place."""
    _, _, drawn, _ = some
    number = next(
        i for i, c in enumerate(drawn) if c.finding.kind == kind and c.attributes["density"] in "ab"
    )
    case = replace(drawn[number], **{"conspicuity": 1.0, **changes})
    images = [
        draw(np.random.default_rng(number), replace(case, severity=np.array([s])), HOME)[:, :, 0].astype(
            float
        )
        for s in (low, high)
    ]
    view = lay_out(np.random.default_rng(number), case.breast, oblique=case.attributes["view"] == "MLO")
    x, y = view.place(case.finding.depth, case.finding.across[case.attributes["view"] == "MLO"])
    x = -x if case.attributes["laterality"] == "right" else x
    return images, (x, y), case.finding.radius


@pytest.mark.parametrize("kind", sorted(set(KINDS)))
def test_severity_changes_the_finding_and_nothing_far_from_it(some, kind):
    (benign, malignant), (x, y), radius = pair(some, kind)
    change = np.abs(malignant - benign)
    axis = (np.arange(SIZE) + 0.5) * 2 / SIZE - 1
    away = np.maximum(np.abs(axis[None, :] - x), np.abs(axis[:, None] - y))
    assert change[away < radius].mean() > 6
    assert change[away > 3 * radius + 0.2].max(initial=0) == 0


@pytest.mark.parametrize("kind", sorted(set(KINDS)))
def test_a_finding_is_the_plainer_the_higher_its_severity_and_faint_where_hidden(some, kind):
    def change(low, high, **changes):
        (first, second), _, _ = pair(some, kind, low, high, **changes)
        return np.abs(second - first).mean()

    assert change(-1.0, 0.4) < change(-1.0, 0.8) < change(-1.0, 2.0)
    assert change(-1.0, 2.0, conspicuity=RESIDUE) < 0.75 * change(-1.0, 2.0)


def test_a_malignant_distortion_has_lines_and_a_benign_one_leaves_the_tissue_alone(some):
    (benign, none), _, _ = pair(some, "distortion", -3.0, -5.0)
    assert np.abs(benign - none).max() <= 2


def test_both_views_show_a_finding_at_the_same_share_of_the_depth():
    rng = np.random.default_rng(1)
    for _ in range(20):
        breast = Breast.of_patient(rng, 1).side(rng)
        finding = Finding.anywhere(rng, "mass")
        for oblique in (False, True):
            view = lay_out(rng, breast, oblique=oblique)
            x, y = view.place(finding.depth, finding.across[oblique])
            assert (view.nipple[0] - x) / (view.nipple[0] + 1) == pytest.approx(finding.depth)
            row, column = round((y + 1) * SIZE / 2), round((x + 1) * SIZE / 2)
            assert view.inside[row, column] > 0.1


def test_overall_brightness_and_contrast_say_little_of_the_label():
    cohort = open_phantoms("mammography", patients=150)
    images, malignant = cohort.images("id", 64).astype(float), cohort.examples("id").labels[:, 1]
    assert roc_auc_score(malignant, images.mean(axis=(1, 2, 3))) == pytest.approx(0.5, abs=0.09)
    assert roc_auc_score(malignant, images.std(axis=(1, 2, 3))) == pytest.approx(0.5, abs=0.12)


def test_an_image_drawn_alone_equals_the_one_in_the_batch(some):
    small, _, _, images = some
    patients, numbers, drawn = small._rows("id")
    for place in (0, 7, 100):
        stream = small._stream(patients[place], 1 + numbers[place])
        assert np.array_equal(draw(stream, drawn[place], HOME)[:, :, 0], images[place])


def test_vendor_b_is_noisier_and_of_higher_contrast(some):
    _, _, _, at_home = some
    away = open_phantoms("mammography", patients=60).images("vendor-b", SIZE)[:, :, :, 0]

    def grain(images):
        return np.median(np.abs(np.diff(images.astype(float), axis=2)), axis=(1, 2)).mean()

    assert grain(away) > 1.5 * grain(at_home)
    assert away.std() > 1.05 * at_home.std()
