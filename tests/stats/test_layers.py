"""Metrics may use statistics, and never the reverse: what is in stats/ takes arrays."""

import subprocess
import sys
from pathlib import Path

from medbench import stats

MODULES = sorted(path.stem for path in Path(stats.__file__).parent.glob("*.py") if path.stem != "__init__")


def test_statistics_import_no_metric():
    imports = "; ".join(f"import medbench.stats.{name}" for name in MODULES)
    code = f"import sys; {imports}; print(*(m for m in sys.modules if m.startswith('medbench.metrics')))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert len(MODULES) > 5
    assert done.stdout.split() == []
