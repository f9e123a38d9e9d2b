"""What is called certified is what the committed measurement certifies."""

import re
from pathlib import Path

from medbench.spec.metrics import BUILT_IN, Brier, NegativeLogLikelihood

PAGE = Path(__file__).parents[2] / "docs/gate.md"


def test_the_certified_metrics_are_those_of_the_page_alone_and_as_differences():
    (line,) = re.findall(r"^Certified: (.*?)\. Not: ", PAGE.read_text(), flags=re.MULTILINE)
    measured = set(re.findall(r"`([^`]+)`", line))
    certified = {name for name, spec in BUILT_IN.items() if spec.certified}
    assert certified == {name for name in BUILT_IN if {name, f"delta {name}"} <= measured}
    assert certified


def test_what_was_not_measured_is_not_certified():
    assert not Brier(part="reliability").certified
    assert not Brier(temperature=True).certified
    assert not NegativeLogLikelihood(temperature=True).certified
