#!/usr/bin/env bash
# Builds the gateway and the benchmark, finds or fetches nginx, and measures. Arguments go to the
# benchmark: --quick, --rounds N, --only W2. NGINX names an nginx of your own.
set -euo pipefail

cd "$(dirname "$0")/.."
out=target/bench
mkdir -p "$out"

# Debian's nginx, unpacked instead of installed, so that no service starts.
fetch_nginx() {
    local unpacked=$out/nginx
    if [ ! -x "$unpacked/usr/sbin/nginx" ]; then
        mkdir -p "$unpacked"
        if [ "$(id -u)" = 0 ]; then
            apt-get update -qq
        fi
        # apt's own user may not write here. Older Debians have the binary in nginx-light.
        (cd "$unpacked" && for package in nginx nginx-light; do
            apt-get download -qq -o APT::Sandbox::User=root "$package"
            dpkg -x "$package"_*.deb .
            [ ! -x usr/sbin/nginx ] || break
        done)
    fi
    echo "$PWD/$unpacked/usr/sbin/nginx"
}

nginx=${NGINX:-$(PATH=$PATH:/usr/sbin command -v nginx || fetch_nginx)}
cargo build --release --locked --package tidegate --package tidegate-bench
exec target/release/tidegate-bench --nginx "$nginx" --out "$out" "$@"
