#!/usr/bin/env bash
# Fetches axe-core, which tests/report/test_page.py checks the page's accessibility with, into build/axe/.
set -euo pipefail
cd "$(dirname "$0")/.."

version=4.10.3
mkdir -p build/axe
cd build/axe
[ -f package/axe.min.js ] && exit 0
npm pack --silent "axe-core@$version" >/dev/null
tar -xzf "axe-core-$version.tgz"
