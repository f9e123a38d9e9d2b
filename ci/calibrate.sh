#!/usr/bin/env bash
# How far the sentinels' metrics move on one machine when nothing but the surroundings changes.
#   ci/calibrate.sh [PYTHON ...]    interpreters with other versions of jax; default .venv/bin/python
# Takes about three minutes a variant on two cores; stores lie in build/calibration and can be deleted.
set -euo pipefail
cd "$(dirname "$0")/.."
out=build/calibration
first=${1:-.venv/bin/python}
rm -rf "$out"  # runs of earlier code must not be counted

sentinels() { # STORE COMMAND...: train the sentinels into a store of their own; drift is what we look for
  local store=$out/$1
  shift
  # This claim compares all backbones that are sentinels; `medbench calibrate` looks at the items of all claims.
  JAX_PLATFORMS=cpu "$@" -m pytest benchmarks -k scale-data -q -p no:cacheprovider --store "$store" || [ $? -eq 1 ]
}

sentinels same "$first"
XLA_FLAGS=--xla_cpu_max_isa=AVX2 sentinels avx2 "$first"
XLA_FLAGS=--xla_force_host_platform_device_count=8 sentinels devices "$first"
sentinels core taskset --cpu-list 0 "$first"
for python in "${@:2}"; do
  sentinels "$(basename "$(dirname "$(dirname "$(realpath -s "$python")")")")" "$python"
done
"$first" -m medbench.cli calibrate "$out"/*
