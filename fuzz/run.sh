#!/usr/bin/env bash
# Fuzzes the codecs on a stable toolchain: fuzz/run.sh [SECONDS [TARGET...]], all targets for 60 s
# each by default, two at a time. The kept corpus is where it begins; what it finds stays in the
# build directory. A crash ends it, and the input that did it is in `fuzz/artifacts`.
#
# With FUZZ_SEED set it repeats itself: for the same code the same inputs, in the same order, of
# which a slower machine sees fewer. So a check fails by what was changed, and not by its luck.
#
# It does what `cargo fuzz run` does on nightly, but for the sanitizer: the codecs hold no `unsafe`,
# and what is looked for are broken promises. libFuzzer itself needs a C++ compiler.
set -euo pipefail

cd "$(dirname "$0")"
seconds=${1:-60}
shift || true
targets=("$@")
[ ${#targets[@]} -gt 0 ] || targets=(sse ndjson openai_frames ollama_frames request_bodies
    anthropic_bodies responses_bodies)

host=$(rustc -vV | sed -n 's/^host: //p')
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-../target}/fuzz
# With a named target, build scripts and macros are built without these.
RUSTFLAGS="--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table
    -Cllvm-args=-sanitizer-coverage-trace-compares" \
    cargo build --release --locked --target "$host"

# Fuzzes one target and says how often it ran; on a crash, all that was said.
fuzz() {
    local log=$CARGO_TARGET_DIR/$1.log
    local found=$CARGO_TARGET_DIR/corpus/$1 begin=("corpus/$1")
    if [ -n "${FUZZ_SEED:-}" ]; then
        # The files by name: a folder's own order differs from clone to clone. And nothing that was
        # found before.
        found=$CARGO_TARGET_DIR/repeated/$1
        rm -rf "$found"
        mkdir -p "$CARGO_TARGET_DIR/repeated"
        find "corpus/$1" -type f | LC_ALL=C sort | paste -sd, >"$found.list"
        begin=("-seed_inputs=@$found.list" "-seed=$FUZZ_SEED" -runs=500000 -reload=0)
        # What the code compares is known by its place in memory, which is another one each time.
        begin+=(-use_cmp=0)
    fi
    mkdir -p "artifacts/$1" "$found"
    if ! "$CARGO_TARGET_DIR/$host/release/$1" "$found" "${begin[@]}" \
        -dict=wire.dict -max_len=1024 -max_total_time="$seconds" -print_final_stats=1 \
        -artifact_prefix="artifacts/$1/" >"$log" 2>&1; then
        tail -n 60 "$log"
        echo "fuzz: $1 broke a promise"
        return 255
    fi
    sed -n "s/^stat::number_of_executed_units: */fuzz: $1, executions: /p" "$log"
}

export host seconds
export -f fuzz
# An exit status of 255 ends xargs.
printf '%s\n' "${targets[@]}" | xargs -P 2 -I {} bash -euo pipefail -c 'fuzz {}'
