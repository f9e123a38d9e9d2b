"""Metrics, computed from stored predictions alone; `evaluate` is the entry."""

from medbench.metrics.registry import METRICS, Metric, evaluate, metric_named

__all__ = ["METRICS", "Metric", "evaluate", "metric_named"]
