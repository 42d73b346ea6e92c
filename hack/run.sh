#!/usr/bin/env bash
# Copyright The Process Manager Authors.
# SPDX-License-Identifier: Apache-2.0

# run.sh CLUSTER PORT: starts a local cluster, installs the product, and reads the
# text of a page image. If KUBECONFIG is set, it uses that cluster instead.
set -euo pipefail
cd "$(dirname "$0")/.."
. hack/progress.sh
. hack/plan.sh
cluster=$1 port=$2
url=http://127.0.0.1:$port
page=workers/ocr/testdata/page.png

# own_cluster is true if KUBECONFIG is set, and not to the local cluster's.
own_cluster() {
    [ -n "${KUBECONFIG:-}" ] || return
    make bin/localcluster || exit
    [ "$KUBECONFIG" != "$(bin/localcluster kubeconfig --name "$cluster" 2>/dev/null)" ]
}

start_cluster() {
    bin/localcluster up --name "$cluster" --forward "$port=30300"
    kubeconfig=$(bin/localcluster kubeconfig --name "$cluster")
    stop="make stop"
}

forward_port() {
    hash kubectl 2>/dev/null || PATH=$PATH:$(bin/localcluster assets)
    if [ -f out/forward.pid ]; then kill "$(cat out/forward.pid)" 2>/dev/null || true; fi
    setsid kubectl --namespace procman-system port-forward service/procman-apiserver "$port:80" >out/forward.log 2>&1 &
    echo $! >out/forward.pid
    kubeconfig=$KUBECONFIG
    stop="kill $(cat out/forward.pid); kubectl delete -f config/install.yaml"
}

# read_page sends the page and waits for its text.
read_page() {
    printf '{"input":{"source":{"data":"%s"}}}' "$(base64 --wrap=0 "$page")" >out/page.json
    for _ in $(seq 50); do # until the Service forwards to the new pods
        created=$(curl -sS --fail-with-body -H 'Content-Type: application/json' --data-binary @out/page.json "$url/v1/processes/ocr" 2>/dev/null) && break
        sleep 0.2
    done
    id=$(jq --raw-output .processId <<<"$created")
    process=$created
    for _ in $(seq 600); do
        [ "$(jq --raw-output .state <<<"$process")" = processing ] || break
        sleep 0.1
        process=$(curl -sS "$url/v1/processes/ocr/$id")
    done
    if [ "$(jq --raw-output .state <<<"$process")" != complete ]; then
        echo "process $id did not complete:" >&2
        jq 'del(.input)' <<<"$process" >&2
        exit 1
    fi
    echo
    jq --raw-output .output.text <<<"$process" | sed 's/^/    /'
}

mkdir -p out
hash curl jq 2>/dev/null || install_packages curl jq
plan_localcluster
if own_cluster; then
    echo "using the cluster of KUBECONFIG=$KUBECONFIG"
    plan_images -
    plan 20 "install the product" hack/deploy.sh - install
    plan 1 "forward port $port to the service" forward_port
else
    plan_parts etcd kubernetes containerd network
    plan 15 "start the cluster" start_cluster
    plan_images "$cluster"
    plan 20 "install the product" hack/deploy.sh "$cluster" install
fi
plan 5 "read $page by POST $url/v1/processes/ocr" read_page
run_plan
cat <<TEXT

The service is running. Try:

    curl -s -H 'Content-Type: application/json' -d '{"input":{"hello":"world"}}' $url/v1/processes/echo
    curl -s $url/v1/processes/ocr/$id | jq .output.text
    curl -s -H 'Content-Type: application/json' -d @out/page.json $url/v1/processes/ocr | jq 'del(.input)'

The Kubernetes objects behind it:

    export KUBECONFIG=$kubeconfig PATH=\$PATH:$(bin/localcluster assets)
    kubectl --namespace procman get processes

To stop it: $stop
TEXT
