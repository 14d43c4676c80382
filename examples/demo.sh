#!/usr/bin/env bash
# Starts a sidecar on its embedded example, lets simulated shoppers visit it, shows what was learned, stops it.
#
#   make demo                            or, with banditd on PATH:  bash examples/demo.sh
#   make demo ARGS='--shoppers 5000'     arguments go to `banditd simulate`
#
# It listens on a Unix socket and a free loopback port, in a folder of its own: it meets no other sidecar and
# leaves nothing behind. BANDITD_… variables meant for another one are not its business.
set -euo pipefail
unset "${!BANDITD_@}"

folder=$(mktemp -d "${TMPDIR:-/tmp}/banditd.XXXXXX")
target=unix:$folder/data.sock
ready_s_max=120
sidecar=

stop() {
    local code=$?
    trap - EXIT
    if [[ -n $sidecar ]] && kill -TERM "$sidecar" 2>/dev/null; then
        wait "$sidecar" || { code=$?; echo "the sidecar ended with code $code; its log:" >&2; cat "$folder/log" >&2; }
    fi
    rm -rf "$folder"
    exit "$code"
}
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

echo "Starting a sidecar. The first start compiles its arithmetic, for up to a minute."
banditd serve --listen "$target" --http 127.0.0.1:0 --data-dir "$folder/data" >"$folder/log" 2>&1 &
sidecar=$!
until banditd probe --target "$target" >/dev/null 2>&1; do
    if ! kill -0 "$sidecar" 2>/dev/null || ((SECONDS > ready_s_max)); then
        echo "The sidecar did not become ready; its log:" >&2
        cat "$folder/log" >&2
        exit 1
    fi
    sleep 0.3
done
echo "Ready after $SECONDS s. Shoppers arrive; each learned choice is set against the static campaign and an oracle."

banditd simulate --target "$target" "$@"

kill -TERM "$sidecar"
wait "$sidecar"
sidecar=
echo "The sidecar stopped in order. Next: README.md, or your own placements: banditd check my.yaml"
