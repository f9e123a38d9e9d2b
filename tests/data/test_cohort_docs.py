import re
from pathlib import Path

import pytest

from medbench.data.declaration import load_declaration

PAGE = (Path(__file__).parents[2] / "docs" / "cohorts.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)


def test_the_page_has_an_example_for_each_domain():
    domains = [re.search(r"domain: (\w+)", text)[1] for text in EXAMPLES]
    assert sorted(domains) == ["chest", "dermatology", "mammography"]


@pytest.mark.parametrize("text", EXAMPLES)
def test_every_example_of_the_page_is_a_valid_declaration(text, tmp_path):
    path = tmp_path / "cohort.yaml"
    path.write_text(text, encoding="utf-8")
    assert load_declaration(path).value.target.classes
