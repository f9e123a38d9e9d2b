"""Measurements of medbench's speed, which docs/performance.md reports; nothing here is installed."""
