import numpy as np
import pytest
from scipy import ndimage
from sklearn.metrics import roc_auc_score

from medbench.data.phantoms import chest, chest_anatomy, chest_film, chest_findings
from medbench.data.phantoms.chest import CLASSES, HOME, HOSPITAL_B, ICU, REPORTED, THRESHOLD
from medbench.data.phantoms.chest_anatomy import LEFT, RIGHT
from medbench.data.phantoms.cohort import open_phantoms
from medbench.data.phantoms.domain import SIZE, Case
from medbench.data.phantoms.texture import X, Y, blur

EVALUATION_SETS = ("id", "hospital-b", "icu")
ABSENT, PRESENT = -3.0, 3.0


@pytest.fixture(scope="module")
def cohort():
    return open_phantoms("chest")


def many(setting, patients: int) -> list[list[Case]]:
    stream = np.random.default_rng(7)
    return [chest.cases(stream, setting) for _ in range(patients)]


def film(seed: int, *present: str, view: str = "PA", devices: str = "no", setting=HOME) -> np.ndarray:
    """A film of a man of 40-59 years, some findings in full, the others absent: (SIZE, SIZE) levels."""
    severity = np.array([PRESENT if name in present else ABSENT for name in CLASSES])
    site = next(iter(setting.detectors))
    attributes = {"age": "40-59", "sex": "male", "view": view, "site": site, "devices": devices}
    case = Case(severity, np.zeros(len(CLASSES), np.int8), severity, attributes)
    return chest.draw(np.random.default_rng(seed), case, setting)[:, :, 0].astype(float)


def centred_chest(*, half: float = 0.74, domes: tuple[float, float] = (0.45, 0.5)) -> chest_anatomy.Chest:
    return chest_anatomy.Chest(X, Y, half, domes, portable=False)


# Labels.


def test_reports_leave_the_share_of_each_finding_in_doubt_that_chexperts_do():
    labels = np.array([case.labels for films in many(REPORTED, 5000) for case in films])
    assert (labels < 0).mean(axis=0) == pytest.approx([0.175, 0.087, 0.151, 0.12], abs=0.015)
    assert set(np.unique(labels)) == {-1, 0, 1}


def test_doubt_is_about_findings_near_the_threshold():
    films = [case for films in many(REPORTED, 3000) for case in films]
    labels, severity = (np.array([getattr(c, name) for c in films]) for name in ("labels", "severity"))
    for k in range(len(CLASSES)):
        doubtful, sure = (
            np.abs(severity[m, k] - THRESHOLD).mean() for m in (labels[:, k] < 0, labels[:, k] >= 0)
        )
        assert doubtful < 0.6 * sure
        assert severity[labels[:, k] == 0, k].mean() < severity[labels[:, k] < 0, k].mean()
        assert severity[labels[:, k] < 0, k].mean() < severity[labels[:, k] == 1, k].mean()


def test_training_and_validation_are_reported_and_every_evaluation_set_is_agreed_upon(cohort):
    for split in ("train", "validation"):
        assert (cohort.examples(split).labels < 0).any(axis=0).all()
    for split in EVALUATION_SETS:
        assert np.isin(cohort.examples(split).labels, (0, 1)).all()


def test_labels_follow_severity_but_for_a_readers_error():
    films = [case for films in many(HOME, 3000) for case in films]
    labels, above = np.array([c.labels for c in films]), np.array([c.severity - THRESHOLD for c in films])
    wrong = labels != (above > 0)
    assert wrong[np.abs(above) > 1.2].mean() < 0.01
    assert 0.35 < wrong[np.abs(above) < 0.1].mean() < 0.65
    assert chest.CONSENSUS_ERROR < chest.REPORT_ERROR


def test_every_finding_is_shown_by_enough_patients_in_every_set_and_larger_group(cohort):
    for split in EVALUATION_SETS:
        examples = cohort.examples(split)
        for k in range(len(CLASSES)):
            positive = examples.labels[:, k] == 1
            assert len(np.unique(examples.patient[positive])) >= 100
            assert len(np.unique(examples.patient[~positive])) >= 100
            for values in examples.attributes.values():
                for group in np.unique(values):
                    of_group = values == group
                    if of_group.sum() >= 60:
                        assert 0.1 < positive[of_group].mean() < 0.85, (split, CLASSES[k], group)


# Patients.


def test_the_findings_of_heart_failure_come_together_and_nodules_come_alone():
    severity = np.array([case.severity for films in many(HOME, 3000) for case in films[:1]])
    correlation = np.corrcoef(severity.T)
    failing = correlation[:3, :3][np.triu_indices(3, 1)]
    assert ((failing > 0.3) & (failing < 0.6)).all()
    assert np.abs(correlation[3, :3]).max() < 0.1


def test_films_of_a_patient_resemble_each_other_the_heart_more_than_the_lungs_water():
    pairs = [films[:2] for films in many(HOME, 6000) if len(films) > 1]
    first, second = (np.array([films[i].severity for films in pairs]) for i in (0, 1))
    alike = [np.corrcoef(first[:, k], second[:, k])[0, 1] for k in range(4)]
    size, fluid, water, nodule = alike
    assert min(alike) > 0.5
    assert min(size, nodule) > max(fluid, water) + 0.15


def test_films_of_a_patient_share_site_sex_and_age():
    for films in many(HOME, 300):
        assert len({(c.attributes["site"], c.attributes["sex"], c.attributes["age"]) for c in films}) == 1


def test_intensive_care_has_older_patients_bedside_films_and_devices(cohort):
    at_home, in_icu = cohort.examples("id").attributes, cohort.examples("icu").attributes
    assert (in_icu["view"] == "AP").mean() > 0.8 > 0.6 > (at_home["view"] == "AP").mean()
    assert (in_icu["devices"] == "yes").mean() > 0.7 > 0.4 > (at_home["devices"] == "yes").mean()
    older = [np.isin(a["age"], ("60-74", "75 and over")).mean() for a in (at_home, in_icu)]
    assert older[1] > older[0] + 0.15


# Images.


def test_a_film_drawn_alone_is_the_one_in_the_cohort():
    few = open_phantoms("chest", patients=4)
    patients, numbers, drawn = few._rows("icu")
    together = few.images("icu", SIZE)
    last = chest.draw(few._stream(patients[-1], 1 + numbers[-1]), drawn[-1], ICU)
    assert np.array_equal(last, together[-1])


@pytest.mark.parametrize("view", ["PA", "AP"])
def test_findings_use_the_same_random_numbers_whatever_their_severity(view):
    """So that two films from one stream differ by the finding alone."""
    states = []
    for severity in (ABSENT, PRESENT):
        stream = np.random.default_rng(5)
        attributes = {"age": "40-59", "sex": "female", "view": view, "site": "site-1", "devices": "yes"}
        case = Case(np.full(4, severity), np.zeros(4, np.int8), np.zeros(4), attributes)
        chest.draw(stream, case, HOME)
        states.append(stream.bit_generator.state["state"])
    assert states[0] == states[1]


@pytest.mark.parametrize("ratio", [0.42, 0.5, 0.62])
def test_a_heart_is_as_wide_as_its_share_of_the_chest(ratio):
    widths = []
    for seed in range(12):
        outline = chest_anatomy.heart(np.random.default_rng(seed), centred_chest(), ratio=ratio, old=False)
        columns = np.flatnonzero((outline[Y[:, 0] < 0.5] > 0.5).any(axis=0))
        widths.append((columns[-1] - columns[0] + 1) * 2 / SIZE / (2 * 0.74))
    assert np.mean(widths) == pytest.approx(ratio, abs=0.035)


def test_a_large_heart_whitens_the_lung_beside_it_and_nothing_far_from_it():
    change = np.mean([film(s, "cardiomegaly") - film(s) for s in range(12)], axis=0)
    beside = (np.abs(X - 0.42) < 0.1) & (np.abs(Y - 0.25) < 0.12)
    upper = (np.abs(np.abs(X) - 0.4) < 0.12) & (np.abs(Y + 0.45) < 0.1)
    assert change[beside].mean() > 25
    assert np.abs(change[upper]).mean() < 12


def test_an_effusion_fills_the_angle_first_and_then_rises():
    stand = centred_chest()
    small, large = (
        chest_findings.effusion(np.random.default_rng(1), stand, LEFT, amount) for amount in (0.12, 0.9)
    )
    lung = chest_anatomy.lung(stand, LEFT)
    angle = (np.abs(X - 0.66) < 0.04) & (np.abs(Y - 0.62) < 0.05)
    middle = (np.abs(X - 0.4) < 0.05) & (np.abs(Y - 0.3) < 0.05)
    assert lung[angle].mean() > 0.2
    assert small[angle].mean() > 0.2
    assert small[middle].mean() < 0.03
    assert large[middle].mean() > 0.9
    assert large[Y < -0.5].max() < 0.05


def test_fluid_climbs_along_the_wall():
    pool = chest_findings.effusion(np.random.default_rng(2), centred_chest(), RIGHT, 0.6)
    surface = [Y[np.argmax(pool[:, column] > 0.5), 0] for column in (SIZE // 2 - 24, SIZE // 2 - 42)]
    assert surface[1] < surface[0] - 0.03


def test_no_fluid_is_drawn_without_an_effusion():
    pool = chest_findings.effusion(np.random.default_rng(2), centred_chest(), RIGHT, 0.0)
    assert np.array_equal(pool, np.zeros_like(pool))


def test_edema_roughens_the_lungs_and_leaves_shoulders_alone():
    lungs = (np.abs(np.abs(X) - 0.4) < 0.12) & (np.abs(Y) < 0.2)
    shoulders = (np.abs(np.abs(X) - 0.85) < 0.08) & (np.abs(Y + 0.35) < 0.1)

    def rough(image, where):
        return (image - blur(image, 2.5))[where].std()

    ratios = [[rough(film(s, "edema"), w) / rough(film(s), w) for w in (lungs, shoulders)] for s in range(10)]
    in_lungs, elsewhere = np.median(ratios, axis=0)
    assert in_lungs > 1.5
    assert 0.85 < elsewhere < 1.15


def test_nodules_are_few_and_lie_within_the_lungs():
    stand = centred_chest()
    for seed in range(30):
        spots = chest_findings.nodules(np.random.default_rng(seed), stand, 1.0)
        bright = spots > 0.3
        assert 0.003 < bright.mean() < 0.05
        assert 1 <= ndimage.label(bright)[1] <= 7
        assert not bright[(np.abs(X) > 0.78) | (Y > 0.6) | (Y < -0.65)].any()


def test_a_subtle_finding_changes_less_than_a_plain_one():
    for name in CLASSES:
        changes = []
        for severity in (0.0, 0.6, PRESENT):
            values = np.array([severity if c == name else ABSENT for c in CLASSES])
            attributes = {"age": "40-59", "sex": "male", "view": "PA", "site": "site-1", "devices": "no"}
            case = Case(values, np.zeros(4, np.int8), values, attributes)
            images = [
                chest.draw(np.random.default_rng(s), case, HOME)[:, :, 0].astype(float) for s in range(4)
            ]
            changes.append(np.mean([np.abs(image - film(s)).mean() for s, image in enumerate(images)]))
        assert changes[0] < changes[1] < changes[2], name


def test_exposure_sets_the_trunks_mean_whatever_is_in_it():
    detector = chest_film.Detector(collimated=0.0)
    stream = np.random.default_rng
    thin = 0.4 + 0.2 * X
    body = np.ones_like(X)
    once, denser = (
        chest_film.expose(stream(1), density, body, detector, portable=False)
        for density in (thin, thin + 0.3)
    )
    assert np.abs(once.astype(int) - denser.astype(int)).max() <= 1


def test_overall_brightness_says_next_to_nothing_about_a_finding():
    few = open_phantoms("chest", patients=200)
    labels, brightness = few.examples("id").labels, few.images("id", 32).mean(axis=(1, 2, 3))
    for k, name in enumerate(CLASSES):
        assert roc_auc_score(labels[:, k], brightness) == pytest.approx(0.5, abs=0.1), name


@pytest.mark.parametrize("view", ["PA", "AP"])
def test_devices_are_thin_and_brighter_than_what_they_lie_upon(view):
    changed = film(3, view=view, devices="yes") != film(3, view=view)
    assert changed.any()
    stand = chest_anatomy.Chest(X, Y, 0.74, (0.45, 0.5), portable=view == "AP")
    metal = chest_film.devices(np.random.default_rng(3), stand)
    assert metal.min() >= 0
    assert metal.max() > 0.1
    assert (metal > 0.1).mean() < 0.1


def test_the_other_hospital_frames_its_films_more_often_and_sharpens_them():
    def framed(split):
        corners = open_phantoms("chest", patients=40).images(split, 32)[:, [0, 0, -1, -1], [0, -1, 0, -1]]
        bottom = open_phantoms("chest", patients=40).images(split, SIZE)[:, -3:, 40:88].mean(axis=(1, 2, 3))
        return (bottom < 40).mean(), corners.mean()

    assert framed("hospital-b")[0] > framed("id")[0] + 0.2
    ours, theirs = (film(4, setting=setting) for setting in (HOME, HOSPITAL_B))
    assert np.abs(np.diff(theirs[40:80, 30:100])).mean() > np.abs(np.diff(ours[40:80, 30:100])).mean()
