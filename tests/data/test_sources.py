import pytest

from medbench.data.sources import open_cohort
from medbench.errors import MedbenchError


@pytest.mark.parametrize("domain", ["chest", "mammography", "dermatology"])
def test_phantoms_are_opened_by_their_domain(domain):
    cohort = open_cohort(f"phantoms:{domain}")
    assert cohort.name == f"phantoms:{domain}"
    assert cohort.generated


def test_a_folder_and_its_declaration_are_the_same_cohort(clinic):
    path = clinic.write()
    assert open_cohort(str(clinic.folder)).fingerprint == open_cohort(str(path)).fingerprint


def test_a_home_folder_is_understood(clinic, monkeypatch):
    clinic.write()
    monkeypatch.setenv("HOME", str(clinic.folder.parent))
    assert open_cohort("~/clinic-a").name == "folder:clinic-a"


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("phantoms:chset", r"phantoms:chset.* Did you mean `phantoms:chest`\?"),
        ("phantom:chest", r"phantom:chest: no such cohort\. Expected `phantoms:<domain>`, `public:<name>`"),
        ("{folder}/clinic-b", r"clinic-b: no such folder or file\. .* Did you mean `clinic-a`\?"),
        ("{folder}/clinic-a/images", r"images: the folder has no cohort\.yaml\. docs/cohorts\.md shows"),
        (
            "{folder}/clinic-a/cohort.yml",
            r"cohort\.yml: no such folder or file\..* Did you mean `cohort\.yaml`\?",
        ),
    ],
)
def test_a_reference_to_nothing_says_what_was_expected(clinic, reference, message):
    clinic.write()
    with pytest.raises(MedbenchError, match=message):
        open_cohort(reference.format(folder=clinic.folder.parent))


def test_a_declaration_of_another_name_is_offered(clinic):
    clinic.write().rename(clinic.folder / "skin.yaml")
    with pytest.raises(MedbenchError, match=r"There is skin\.yaml: name the file itself\."):
        open_cohort(str(clinic.folder))
