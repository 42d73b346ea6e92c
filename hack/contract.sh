#!/usr/bin/env bash
# Copyright The Process Manager Authors.
# SPDX-License-Identifier: Apache-2.0

# contract.sh CLUSTER PORT: runs the contract suite against $URL, where the process
# types of test/contract/processtypes.yaml must be registered. Without $URL, it runs
# against what make run has started, and registers them for that time.
set -euo pipefail
cd "$(dirname "$0")/.."
if [ -z "${URL:-}" ]; then
    URL=http://127.0.0.1:$2
    make bin/localcluster
    KUBECONFIG=$(bin/localcluster kubeconfig --name "$1")
    export KUBECONFIG
    PATH=$PATH:$(bin/localcluster assets)
    trap 'kubectl delete --filename test/contract/processtypes.yaml >/dev/null' EXIT
    kubectl apply --filename test/contract/processtypes.yaml >/dev/null
    for name in contract contract-brief contract-single contract-queue; do # until the facade has read them, too
        for _ in $(seq 50); do
            curl --silent "$URL/v1/processTypes" | grep --quiet "\"name\":\"$name\"" && break
            sleep 0.1
        done
    done
fi
echo "running the contract suite against $URL"
go test -tags contract -count 1 -timeout 10m ./test/contract -url "$URL"
