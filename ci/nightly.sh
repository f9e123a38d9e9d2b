#!/usr/bin/env bash
# A night on this machine, with or without accelerator: doctor, pytest, diff against the night before, summary.
#   ci/nightly.sh            interrupted or killed, the same command goes on
#   ci/nightly.sh --help     the environment variables that configure it, and the exit status
# MEDBENCH_PYTHON names the interpreter (default: .venv/bin/python, else python3). docs/nightly.md says the rest.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${MEDBENCH_PYTHON:-}
if [ -z "$python" ]; then
  python=python3
  if [ -x .venv/bin/python ]; then python=.venv/bin/python; fi
fi
if ! why=$("$python" -c 'import medbench.nightly_cli' 2>&1); then  # 1 would say that something is red
  echo "ci/nightly.sh: $python cannot run medbench (${why##*$'\n'}). Install it (make .venv/installed, or pip install -e .)," \
    "or name its interpreter by MEDBENCH_PYTHON. Nothing was judged." >&2
  exit 2
fi
exec "$python" -m medbench.cli nightly "$@"
