#!/usr/bin/env bash
# The end-to-end story on kind, from nothing: makes a cluster of its own, and deletes it at the end whatever happens.
# Needs Docker, kind, kubectl, Helm 3 and Rust. Arguments are passed on to `cargo xtask e2e`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

for tool in docker kind kubectl helm cargo; do
    if ! command -v "$tool" >/dev/null; then
        echo "error: $tool is missing; this needs docker, kind, kubectl, helm and cargo" >&2
        exit 1
    fi
done

# Not the name of a cluster that somebody works with, and not their kubeconfig.
export KIND_CLUSTER_NAME=bookingq-e2e-$$
scratch=$(mktemp -d)
export KUBECONFIG=$scratch/kubeconfig

clean_up() {
    kind delete cluster --name "$KIND_CLUSTER_NAME"
    rm -rf "$scratch"
}
trap clean_up EXIT

kind create cluster --name "$KIND_CLUSTER_NAME" --wait 3m
cargo xtask e2e --load-image tests/e2e/load-into-kind.sh "$@"
