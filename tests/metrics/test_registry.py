"""Names, identities, directions and ranges of metrics, and how one is made from its definition."""

import pytest

from medbench.errors import MedbenchError
from medbench.metrics import metric_named
from medbench.spec.metrics import (
    BUILT_IN,
    GroupGap,
    RocAuc,
    WorstGroup,
)


def group_gap(of, **parameters):
    return {**BUILT_IN, "gap": GroupGap(of=of, attributes=["sex"], **parameters)}


def worst_group(of, **declared):
    return {**BUILT_IN, "worst": WorstGroup(of=of, attributes=["sex", "age"]), **declared}


def test_the_registry_pins_name_version_and_direction():
    metric = metric_named("roc_auc")
    assert (metric.name, metric.identity, metric.spec) == ("roc_auc", "roc_auc@1", RocAuc())
    assert (metric.higher_is_better, metric.low, metric.high) == (True, 0.0, 1.0)
    assert (metric.needs_validation, metric.pools_home, metric.inner) == (False, False, None)


def test_an_unknown_metric_is_refused_with_the_nearest_name():
    with pytest.raises(MedbenchError, match=r"^metric `rocauc` is not known\. Did you mean `roc_auc`\?$"):
        metric_named("rocauc")
    with pytest.raises(MedbenchError, match=r"^metric `rocauc` is not known\. Did you mean `roc_auc`\?$"):
        metric_named("gap", group_gap("rocauc"))
