#!/usr/bin/env bash
# Builds the gateway and the benchmark, and measures each routing policy on a fleet of replicas that
# misbehave. Arguments go to the benchmark: --seconds N, --rate N, --only POLICY.
set -euo pipefail

cd "$(dirname "$0")/.."
cargo build --release --locked --package tidegate --package tidegate-bench
exec target/release/tidegate-bench fleet "$@"
