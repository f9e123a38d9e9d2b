import os
import re

import pytest

from medbench.data.public.medmnist_published import PUBLISHED
from medbench.data.sources import absent_cohort, open_cohort, prepared_in
from medbench.errors import MedbenchError, NotPreparedError
from tests.miniatures import medmnist


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


def test_the_variable_names_one_folder_for_every_public_cohort(tmp_path, monkeypatch):
    shared = tmp_path / f"two{os.pathsep}names"  # no list: a folder may be called so
    medmnist.write(shared, patients=40)
    monkeypatch.setenv("MEDBENCH_COHORTS", str(shared))
    assert prepared_in(tmp_path) == shared
    with pytest.raises(MedbenchError, match="not the file that was published") as found:
        open_cohort("medmnist:pneumoniamnist@28")
    assert not isinstance(found.value, NotPreparedError)


def test_a_folder_that_is_named_is_the_only_one_that_is_looked_into(tmp_path, monkeypatch):
    medmnist.write(tmp_path / "shared", patients=40)
    monkeypatch.setenv("MEDBENCH_COHORTS", str(tmp_path / "shared"))
    with pytest.raises(NotPreparedError, match=r"pneumoniamnist\.npz is not in .*mine\."):
        open_cohort("medmnist:pneumoniamnist@28", prepared=tmp_path / "mine")


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_set_of_medmnist_that_is_not_here_is_known_all_the_same(name, tmp_path):
    reference = f"medmnist:{name}@64"
    with pytest.raises(NotPreparedError) as missing:
        open_cohort(reference, prepared=tmp_path)
    absent = absent_cohort(reference, str(missing.value))
    medmnist.write(tmp_path, patients=400, name=name)
    here = open_cohort(f"medmnist:{tmp_path}/{name}.npz")
    assert absent.name == reference
    for known in ("domain", "target", "cluster", "attributes", "shifts", "absent", "generated"):
        assert getattr(absent, known) == getattr(here, known)
    with pytest.raises(NotPreparedError, match=f"medbench cohort prepare {reference}"):
        absent.images("id", 28)


def test_without_a_size_the_absent_set_is_called_as_it_would_be_if_it_were_here():
    assert absent_cohort("medmnist:dermamnist", "not here").name == "medmnist:dermamnist@28"


def test_the_shifts_of_a_public_cohort_that_is_not_here_are_known_as_absent():
    absent = absent_cohort("public:chexpert@zeros", "not here")
    assert (absent.domain, absent.cluster) == ("chest", "patient")
    assert set(absent.absent.values()) == {"not here"}


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("pad-ufes-20", "public:pad-ufes-20"),
        ("CheXpert@zeros", "public:chexpert@zeros"),
        ("pneumoniamnist@64", "medmnist:pneumoniamnist@64"),
    ],
)
def test_a_public_cohort_without_its_source_is_told_with_it(tmp_path, name, meant):
    with pytest.raises(MedbenchError, match=re.escape(f"Did you mean `{meant}`?")):
        open_cohort(str(tmp_path / name))


def test_a_file_of_medmnist_is_opened_by_its_source(tmp_path):
    (tmp_path / "a.npz").touch()
    with pytest.raises(MedbenchError, match=r"give medmnist:.*a\.npz$"):
        open_cohort(str(tmp_path / "a.npz"))
