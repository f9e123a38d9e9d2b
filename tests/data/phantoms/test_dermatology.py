import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from medbench.data.phantoms.cohort import open_phantoms
from medbench.data.phantoms.dermatology import DOMAIN, HOME, PHONE, Lesion, draw, mixture
from medbench.data.phantoms.dermatology_layers import LAYERS, Place
from medbench.data.phantoms.dermatology_lesions import CLASSES, FORM, LOOKS, criteria, lesion
from medbench.data.phantoms.dermatology_pictures import SKIN, hairs
from medbench.data.phantoms.dermatology_tissue import Tissue
from medbench.data.phantoms.domain import SIZE
from medbench.data.phantoms.texture import X, Y, edge

SHARES = {"akiec": 0.10, "bcc": 0.13, "bkl": 0.15, "df": 0.075, "mel": 0.17, "nv": 0.30, "vasc": 0.075}
EVALUATED = ("id", "phone", "dark-skin")


@pytest.fixture(scope="module")
def cohort():
    return open_phantoms("dermatology")


def cases_of(cohort, split):
    patients, _, cases = cohort._rows(split)
    return np.array(patients), cases


def lone(name: str, **attributes: str) -> Lesion:
    """A plain lesion of a class."""
    strengths = (np.array(CLASSES) == name).astype(float)
    given = {"age": "40-59", "sex": "female", "skin_type": "2"} | attributes
    return Lesion(strengths, strengths.astype(np.int8), strengths, given, np.zeros(3))


def drawn(case: Lesion, number: int = 0, setting=HOME) -> np.ndarray:
    return draw(np.random.default_rng(number), case, setting).astype(float)


def plain(name: str) -> dict[str, float]:
    """All criteria of a class in full."""
    return dict.fromkeys([*FORM, *LAYERS], 0.0) | dict(LOOKS[name])


def test_a_lesion_has_one_of_the_seven_classes(cohort):
    assert cohort.target.kind == "single-label"
    assert cohort.target.classes == tuple(SHARES)
    for split in ("train", "validation", *EVALUATED):
        labels = cohort.examples(split).labels
        assert set(np.unique(labels)) == {0, 1}
        assert (labels.sum(axis=1) == 1).all()


def test_the_classes_are_as_frequent_as_the_docstring_says(cohort):
    labels = np.concatenate([cohort.examples(split).labels for split in ("train", *EVALUATED)])
    assert dict(zip(CLASSES, labels.mean(axis=0), strict=True)) == pytest.approx(SHARES, abs=0.025)


@pytest.mark.parametrize("split", EVALUATED)
def test_every_class_is_shown_by_enough_patients(cohort, split):
    examples = cohort.examples(split)
    for k, name in enumerate(CLASSES):
        assert len(np.unique(examples.patient[examples.labels[:, k] == 1])) >= 40, name


@pytest.mark.parametrize("split", EVALUATED)
def test_every_class_is_in_every_larger_sub_group(cohort, split):
    examples = cohort.examples(split)
    for name, values in examples.attributes.items():
        for group in np.unique(values):
            labels = examples.labels[values == group]
            if len(labels) >= 100:
                assert labels.sum(axis=0).min() >= 3, (name, group)


def test_lesions_of_a_patient_are_in_the_same_skin(cohort):
    patients, cases = cases_of(cohort, "id")
    for patient in np.unique(patients):
        own = [cases[i] for i in np.flatnonzero(patients == patient)]
        assert all(case.attributes == own[0].attributes for case in own)
        assert all(np.array_equal(case.traits, own[0].traits) for case in own)
    tones = {case.traits[0] for case in cases}
    assert len(tones) == len(np.unique(patients))


def test_lesions_of_a_patient_are_more_often_of_one_class_than_those_of_two_patients(cohort):
    patient, labels = cohort.examples("train").patient, cohort.examples("train").labels.argmax(axis=1)
    same_patient = patient[1:] == patient[:-1]
    same_class = labels[1:] == labels[:-1]
    assert same_class[same_patient].mean() > same_class[~same_patient].mean() + 0.1


def test_naevi_are_commoner_in_the_young_and_keratoses_and_carcinomas_in_the_old(cohort):
    examples = cohort.examples("train")
    share = {
        age: examples.labels[examples.attributes["age"] == age].mean(axis=0) for age in ("under 40", "60-74")
    }
    older = dict(zip(CLASSES, share["60-74"] - share["under 40"], strict=True))
    assert older["nv"] < -0.15
    assert min(older["akiec"], older["bcc"], older["bkl"]) > 0.05


def test_skin_type_says_nothing_of_the_class(cohort):
    light, dark = (cohort.examples(split).labels.mean(axis=0) for split in ("train", "dark-skin"))
    assert dark == pytest.approx(light, abs=0.045)


def test_the_oracle_names_the_strongest_class_and_is_right_four_times_in_five(cohort):
    _, cases = cases_of(cohort, "id")
    oracle = cohort.oracle("id")
    assert np.array_equal(oracle.argmax(axis=1), [case.severity.argmax() for case in cases])
    assert ((oracle > 0).sum(axis=1) == 1).all()
    assert 0.7 < (oracle.argmax(axis=1) == cohort.examples("id").labels.argmax(axis=1)).mean() < 0.9


def test_many_lesions_look_between_two_classes(cohort):
    shares = np.array([mixture(case.severity).max() for case in cases_of(cohort, "id")[1]])
    assert 0.1 < (shares < 0.8).mean() < 0.5
    assert (shares == 1).mean() > 0.3


@given(hnp.arrays(float, 7, elements=st.floats(-2, 2)))
def test_the_mixture_is_of_the_classes_near_the_strongest(strengths):
    shares = mixture(strengths)
    assert shares.sum() == pytest.approx(1)
    assert (shares >= 0).all()
    assert shares[strengths.argmax()] == shares.max()
    assert (shares[strengths < strengths.max() - 0.45] == 0).all()


def test_a_lesion_without_a_leading_class_looks_half_of_each():
    assert mixture(np.array([0, 0, 0, 0, 1.0, 1.0, 0])) == pytest.approx([0, 0, 0, 0, 0.5, 0.5, 0])


def test_every_criterion_of_a_class_has_a_layer_or_shapes_the_lesion():
    named = {criterion for looks in LOOKS.values() for criterion in looks}
    assert tuple(LOOKS) == CLASSES
    assert named == {*FORM, *LAYERS}
    assert all(any(criterion in LAYERS for criterion in looks) for looks in LOOKS.values())


@pytest.mark.parametrize("criterion", list(LAYERS))
def test_a_layer_draws_by_its_amount_and_within_the_lesion(criterion):
    inside = 1 - np.sqrt(X * X + Y * Y) / 0.5
    place = Place(0.0, 0.0, 0.5, inside, edge(inside, 0.1))

    def added(amount):
        ground = Tissue.empty()
        ground.melanin += 0.5 * place.mask
        before = np.stack([*vars(ground).values()])
        LAYERS[criterion](np.random.default_rng(1), place, ground, amount)
        return np.abs(np.stack([*vars(ground).values()]) - before).sum(axis=0)

    full = added(1.0)
    assert full[inside > 0].mean() > 0.01
    assert added(0.5) == pytest.approx(full / 2, abs=1e-5)
    assert full[inside < -0.8].mean() < 0.05 * full[inside > 0].mean()


@pytest.mark.parametrize(
    ("name", "most", "least"),
    [
        ("nv", "melanin", "dermal"),
        ("mel", "melanin", "keratin"),
        ("mel", "dermal", "blood"),
        ("vasc", "blood", "melanin"),
        ("bcc", "blood", "keratin"),
        ("bcc", "dermal", "keratin"),
        ("akiec", "blood", "dermal"),
        ("bkl", "keratin", "dermal"),
        ("df", "blood", "dermal"),
    ],
)
def test_a_plain_lesion_is_made_of_its_class_pigments(name, most, least):
    tissue = Tissue.empty()
    for number in range(4):
        lesion(np.random.default_rng(number), tissue, plain(name), 1.0)
    assert getattr(tissue, most).mean() > 1.5 * getattr(tissue, least).mean()


def test_a_dermatofibroma_is_whiter_in_its_middle_than_at_its_border():
    middle = border = 0.0
    ring = np.sqrt(X * X + Y * Y)
    for number in range(12):
        tissue = Tissue.empty()
        lesion(np.random.default_rng(number), tissue, plain("df"), 1.0)
        middle += tissue.white[ring < 0.2].mean()
        border += tissue.white[(ring > 0.5) & (ring < 0.7)].mean()
    assert middle > 3 * border


@pytest.mark.parametrize("name", [name for name in CLASSES if name != "nv"])
def test_another_class_changes_the_lesion_and_not_the_skin_about_it(name):
    ring = np.sqrt(X * X + Y * Y)
    change = np.zeros((SIZE, SIZE))
    for number in range(6):
        change += np.abs(drawn(lone(name), number) - drawn(lone("nv"), number)).mean(axis=2)
    assert change[ring < 0.4].mean() > 6 * change[ring > 1.25].mean()
    assert change[ring < 0.4].mean() > 6 * 10


def test_a_lesion_between_two_classes_looks_between_them():
    naevus, melanoma = lone("nv"), lone("mel")
    strengths = np.maximum(naevus.severity, melanoma.severity)
    between = Lesion(strengths, naevus.labels, strengths, naevus.attributes, naevus.traits)
    for number in range(5):
        a, b, c = (drawn(case, number) for case in (naevus, between, melanoma))
        far = np.abs(a - c).mean()
        assert np.abs(a - b).mean() < far
        assert np.abs(b - c).mean() < far


def test_pigment_stands_out_less_in_darker_skin_even_by_its_share_of_the_light():
    def contrasts(skin_type):
        pictures = [drawn(lone("nv", skin_type=skin_type), number).mean(axis=2) for number in range(8)]
        levels = [np.percentile(picture, (5, 75)) for picture in pictures]
        return np.mean([(light - dark, 1 - dark / light) for dark, light in levels], axis=0)

    levels, shares = np.array([contrasts(skin_type) for skin_type in "2456"]).T
    assert (np.diff(levels) < 0).all()
    assert levels[-1] < 0.6 * levels[0]
    assert (np.diff(shares) < 0).all()
    assert shares[-1] < 0.85 * shares[0]


def test_darker_skin_is_darker_in_every_colour():
    assert (np.diff(SKIN, axis=0) < 0).all()


def test_a_smartphone_shows_a_smaller_lesion():
    def covered(setting):
        pictures = [drawn(lone("nv"), number, setting) for number in range(12)]
        hues = [picture[:, :, 2] / picture[:, :, 0] for picture in pictures]  # uneven light has no hue
        return np.mean([hue < 0.8 * np.percentile(hue, 80) for hue in hues])

    assert covered(PHONE) < 0.8 * covered(HOME)


def test_criteria_vary_from_lesion_to_lesion_and_some_are_missing():
    shares = mixture(lone("mel").severity)
    amounts = np.array([[*criteria(np.random.default_rng(number), shares).values()] for number in range(300)])
    shown = np.array([*plain("mel").values()]) > 0
    assert (amounts[:, ~shown] == 0).all()
    assert 0.02 < (amounts[:, shown] == 0).mean() < 0.1
    assert amounts[:, shown].std(axis=0).min() > 0.05


def test_hairs_are_dark_or_pale_lines_on_a_part_of_the_pictures():
    skin = np.full((SIZE, SIZE, 3), 0.6, dtype=np.float32)
    haired = [hairs(np.random.default_rng(number), skin, 0.3) for number in range(200)]
    changed = [np.abs(p - skin).max() > 0.05 for p in haired]
    assert 0.2 < np.mean(changed) < 0.4
    assert any(p.min() < 0.45 for p in haired)
    assert any(p.max() > 0.65 for p in haired)
    assert max(np.mean(np.abs(p - skin) > 0.05) for p in haired) < 0.3


def test_a_picture_drawn_alone_is_that_of_the_cohort(cohort):
    few = open_phantoms("dermatology", patients=4)
    for split in EVALUATED:
        patients, numbers, cases = few._rows(split)
        last = len(cases) - 1
        stream = few._stream(patients[last], 1 + numbers[last])
        alone = draw(stream, cases[last], DOMAIN.settings[split])
        assert alone.shape == (SIZE, SIZE, 3)
        assert np.array_equal(alone, few.images(split, SIZE)[last])
    ahead = cohort.examples("id").labels[: len(few.examples("id"))]
    assert np.array_equal(few.examples("id").labels, ahead)


def test_brightness_size_and_place_hardly_tell_a_class(cohort):
    from sklearn.metrics import roc_auc_score

    pictures = cohort.images("id", 16).mean(axis=3)
    labels = cohort.examples("id").labels
    darkness = np.median(pictures, axis=(1, 2))[:, None, None] - pictures
    covered = (darkness > 15).mean(axis=(1, 2))
    weight = np.clip(darkness, 0, None) + 1e-9
    across = (weight.sum(axis=1) @ np.arange(16)) / weight.sum(axis=(1, 2))
    for name, hint in {"bright": pictures.mean(axis=(1, 2)), "large": covered, "aside": across}.items():
        areas = np.array([roc_auc_score(labels[:, k], hint) for k in range(7)])
        assert np.abs(areas - 0.5).max() < 0.15, (name, areas.round(2))
