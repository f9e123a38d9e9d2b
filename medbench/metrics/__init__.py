"""Metrics, computed from stored predictions alone; `evaluate` is the entry."""

from medbench.metrics.registry import Metric, evaluate, metric_named
from medbench.metrics.sample import Sample, pooled

__all__ = ["Metric", "Sample", "evaluate", "metric_named", "pooled"]
