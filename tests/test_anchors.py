"""Published values are read strictly, and the project's own keep to what was read of their sources."""

from pathlib import Path

import pytest

from medbench.anchors import load_anchors, shown
from medbench.errors import MedbenchError

OWN = Path(__file__).parents[1] / "expectations" / "anchors.yaml"
ENTRY = """\
- set: somewhere
  domain: chest
  model: a network
  metric: ROC AUC
  value: 0.8
  source: somebody
"""


def read(folder, text):
    (folder / "anchors.yaml").write_text(text)
    return load_anchors(folder / "anchors.yaml")


def test_a_value_and_a_range_are_shown_as_people_write_them(tmp_path):
    one, other = read(tmp_path, ENTRY + ENTRY.replace("0.8", "[0.8, 0.875]"))
    assert (shown(one), shown(other)) == ("0.8", "0.8 to 0.875")


@pytest.mark.parametrize("value", ["1.2", "-0.1", "[0.9, 0.8]", "[]", "[0.1, 0.2, 0.3]", "[0.5, 2]"])
def test_what_is_no_share_or_range_is_refused_with_its_line(tmp_path, value):
    with pytest.raises(
        MedbenchError, match=r"anchors\.yaml:11: expected a number in \[0, 1\], or the two ends"
    ):
        read(tmp_path, ENTRY + ENTRY.replace("0.8", value))


def test_an_unknown_key_is_refused(tmp_path):
    with pytest.raises(MedbenchError, match=r"anchors\.yaml:.*unknown key `sauce`"):
        read(tmp_path, ENTRY.replace("source", "sauce"))


def test_no_file_is_no_anchor(tmp_path):
    assert load_anchors(tmp_path / "none.yaml") == []


def test_the_projects_own_are_read_and_each_has_its_source():
    own = load_anchors(OWN)
    assert {anchor.domain for anchor in own} == {"chest", "mammography", "dermatology"}
    assert all(anchor.source and anchor.model for anchor in own)
    assert len({(a.set, a.model, a.metric) for a in own}) == len(own)
