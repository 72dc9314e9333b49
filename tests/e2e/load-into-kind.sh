#!/usr/bin/env bash
# Makes the image NAME:TAG and loads it into a kind cluster: `cargo xtask e2e --load-image tests/e2e/load-into-kind.sh`.
# KIND_CLUSTER_NAME names the cluster, as it does for kind itself. What is published, kind's nodes pull by themselves.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

readonly image=${1:?usage: load-into-kind.sh NAME:TAG}

case $image in
    */bookingq:*)
        docker build --tag "$image" .
        kind load docker-image "$image" --name "${KIND_CLUSTER_NAME:-kind}"
        ;;
esac
