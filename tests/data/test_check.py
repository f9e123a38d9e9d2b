from medbench.data.check import check
from tests.data.clinic import edited

SHIFT = "shifts: {women: {column: sex, equals: [F]}}\n"


def test_images_patients_and_classes_are_counted_by_set(clinic):
    found = check(clinic.write())
    assert list(found.sets) == ["train", "validation", "id"]
    assert sum(s.images for s in found.sets.values()) == 60
    assert sum(s.patients for s in found.sets.values()) == 30
    assert sum(s.positive["malignant"] for s in found.sets.values()) == 20
    assert sum(s.positive["not malignant"] for s in found.sets.values()) == 40
    assert found.errors == found.warnings == []


def test_groups_are_counted_by_set_with_bands_in_order_and_blanks_last(clinic):
    for row in clinic.rows[:4]:
        row["age"] = ""
    found = check(clinic.write(clinic.declaration + SHIFT))
    assert list(found.groups["age"]) == ["under 40", "40-59", ""]
    assert list(found.groups["sex"]) == ["F", "M"]
    assert found.groups["sex"]["F"] == {"train": 0, "validation": 0, "id": 0, "women": 30}
    assert sum(sum(counts.values()) for counts in found.groups["age"].values()) == 60


def test_unknown_labels_are_counted_by_class(clinic):
    for number, row in enumerate(clinic.rows):
        row |= {"a": str(number // 2 % 2), "b": str(number // 2 % 3 // 2)}
    clinic.rows[0]["a"] = clinic.rows[1]["a"] = ""
    labels = "labels: {malignant: {column: dx, positive: [MEL, BCC], negative: [NEV]}}"
    declaration = edited(
        clinic.declaration, {labels: 'labels: {a: a, b: b}\nuncertain: {values: [""], policy: ignore}'}
    )
    found = check(clinic.write(declaration))
    assert found.errors == []
    assert sum(s.unknown.get("a", 0) for s in found.sets.values()) == 2
    assert all(not s.unknown.get("b") for s in found.sets.values())


def test_a_folder_without_a_declaration_is_the_one_error(tmp_path):
    (error,) = check(tmp_path).errors
    assert "the folder has no cohort.yaml" in error


def test_progress_counts_the_images_that_are_decoded(clinic):
    heard = []
    check(clinic.write(), report=lambda *progress: heard.append(progress))
    assert heard == [(n, 60) for n in range(1, 61)]
