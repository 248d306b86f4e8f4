#!/usr/bin/env bash
# Builds the gateway and the benchmark, and measures what an open console costs the gateway beside 500
# streams. Arguments go to the benchmark: --streams N, --rate N, --pairs N, --seconds N.
set -euo pipefail

cd "$(dirname "$0")/.."
cargo build --release --locked --package tidegate --package tidegate-bench
exec target/release/tidegate-bench console "$@"
