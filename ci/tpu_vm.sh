#!/usr/bin/env bash
# A night on a TPU VM that is made for it: create, install, run ci/nightly.sh, fetch the nights, delete.
#   ci/tpu_vm.sh [--dry-run]     --dry-run prints the commands and runs none
# Needs gcloud, logged in, with a project. The VM is deleted at the end, whatever happened. MEDBENCH_* variables
# reach the night; MEDBENCH_STORE should be a URL (gs://bucket/prefix), so that runs outlive the VM.
#   TPU_NAME (medbench-nightly)  TPU_ZONE (us-central2-b)  TPU_TYPE (v4-8)  TPU_VERSION (tpu-ubuntu2204-base)
#   TPU_SPOT=yes takes a machine that may be taken away; the same command then continues the night
set -euo pipefail
cd "$(dirname "$0")/.."

name=${TPU_NAME:-medbench-nightly}
zone=${TPU_ZONE:-us-central2-b}
type=${TPU_TYPE:-v4-8}
version=${TPU_VERSION:-tpu-ubuntu2204-base}
out=${MEDBENCH_OUT:-nights}

run=()
case ${1:-} in
  --dry-run) run=(echo +) ;;
  "") ;;
  *) sed -n '2,8s/^# \{0,1\}//p' "$0"; exit 2 ;;
esac

tpu() { "${run[@]}" gcloud compute tpus tpu-vm "$@" --zone "$zone"; }
there() { tpu ssh "$name" --command "$1"; }

spot=()
if [ "${TPU_SPOT:-no}" = yes ]; then spot=(--spot); fi

settings=MEDBENCH_OUT=nights
while IFS='=' read -r variable; do
  case $variable in
    MEDBENCH_OUT | MEDBENCH_PYTHON) ;;
    *) settings+=" $variable=$(printf '%q' "${!variable}")" ;;
  esac
done < <(compgen -A variable MEDBENCH_ || true)

tpu create "$name" --accelerator-type "$type" --version "$version" "${spot[@]}"
trap 'tpu delete "$name" --quiet' EXIT

archive=$(mktemp -d)/medbench.tar.gz
"${run[@]}" git archive --output "$archive" --prefix medbench/ HEAD
tpu scp "$archive" "$name:medbench.tar.gz"
if [ -d "$out" ]; then  # what this night is compared with, and the history
  tpu scp --recurse "$out" "$name:earlier"
fi
there 'tar xzf medbench.tar.gz && if [ -d earlier ]; then mv earlier medbench/nights; fi'
there 'cd medbench && python3 -m venv .venv && .venv/bin/pip install --quiet --editable ".[tpu,public]" gcsfs'

status=0
there "cd medbench && env $settings ci/nightly.sh" || status=$?
fetched=$(mktemp -d)
tpu scp --recurse "$name:medbench/nights" "$fetched"
"${run[@]}" mkdir -p "$out"
"${run[@]}" cp -R "$fetched/nights/." "$out/"
exit "$status"
