#!/usr/bin/env bash
# Builds the gateway and the benchmark, and soaks the gateway in faults. Arguments go to the soak:
# --seconds N, --clients N, --seed N. `benches/soak.sh idle` holds idle streams instead.
set -euo pipefail

cd "$(dirname "$0")/.."
cargo build --release --locked --package tidegate --package tidegate-bench
command=soak
if [ "${1-}" = idle ]; then
    command=idle
    shift
fi
# Whatever else the machine does goes before it.
exec nice target/release/tidegate-bench "$command" "$@"
