"""Claims about transfer learning for medical imaging, as benchmarks that pytest runs and judges."""

__version__ = "0.1.0"
