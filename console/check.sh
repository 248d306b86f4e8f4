#!/usr/bin/env bash
# Builds the console anew and compares it with what the gateway is compiled with. Without npm it is not checked.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
root=$(dirname "$here")
parts=$(realpath -m "${CARGO_TARGET_DIR:-$root/target}")/console
command -v npm >/dev/null || { echo "lint: npm is not installed: the console's built files are not checked"; exit 0; }

mkdir -p "$parts"
rm -rf "$parts/src" "$parts/built"
cp -r "$here/src" "$here/build.mjs" "$here/package.json" "$here/package-lock.json" "$parts/"
wanted=$(cat "$here/package-lock.json")
if [ ! -f "$parts/stamp" ] || [ "$(cat "$parts/stamp")" != "$wanted" ]; then
    timeout 300 npm ci --prefix "$parts" --silent --no-audit --no-fund --ignore-scripts
    echo "$wanted" >"$parts/stamp"
fi
node "$parts/build.mjs" "$parts/built"
diff -rq "$parts/built" "$root/src/http/console/built" || {
    echo "lint: the console's built files are not current: npm run build in console/" >&2
    exit 1
}
