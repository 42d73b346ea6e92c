#!/usr/bin/env bash
# Copyright The Process Manager Authors.
# SPDX-License-Identifier: Apache-2.0

# deploy.sh CLUSTER [STAGE...]: builds the images and installs the product on the
# local cluster of that name. If CLUSTER is "-", it uses the cluster of KUBECONFIG,
# whose nodes pull from REGISTRY. Stages: images, install. Without a stage: both.
set -euo pipefail
cd "$(dirname "$0")/.."
cluster=$1
shift
[ $# -gt 0 ] || set -- images install
tars=out/images

images() {
    if [ "$cluster" = - ]; then
        : "${REGISTRY:?set REGISTRY to where the nodes of this cluster pull images from, such as registry.example/procman}"
        go run ./hack/images -push "$REGISTRY" -tag "$(tag)"
    else
        go run ./hack/images -out "$tars"
    fi
}

install() {
    hash kubectl 2>/dev/null || PATH=$PATH:$(bin/localcluster assets)
    if [ "$cluster" != - ]; then
        export KUBECONFIG
        KUBECONFIG=$(bin/localcluster kubeconfig --name "$cluster")
        bin/localcluster load-image --name "$cluster" "$tars"/*.tar
    fi
    with_images <config/install.yaml | kubectl apply --filename - >/dev/null
    if [ "$cluster" != - ]; then
        # A rebuilt image keeps its name, so an annotation with a hash of the image makes
        # Kubernetes replace the pods.
        for workload in deployment/procman-operator deployment/procman-apiserver statefulset/procman-store; do
            hash=$(tar --extract --to-stdout --file "$tars/${workload#*/procman-}.tar" manifest.json | sha256sum | cut -d ' ' -f 1)
            kubectl --namespace procman-system patch "$workload" --type merge --patch \
                "{\"spec\":{\"template\":{\"metadata\":{\"annotations\":{\"procman.dev/built-from\":\"$hash\"}}}}}" >/dev/null
        done
    fi
    kubectl wait --for=condition=Established crd/processes.procman.dev crd/processtypes.procman.dev --timeout=30s >/dev/null
    kubectl kustomize config/processtypes | with_images | kubectl apply --filename - >/dev/null
    for workload in statefulset/procman-store deployment/procman-operator deployment/procman-apiserver; do
        kubectl --namespace procman-system rollout status "$workload" --timeout=120s >/dev/null
    done
    kubectl --namespace procman wait --for=condition=Ready processtypes --all --timeout=30s >/dev/null
}

# with_images replaces the names of local images by those in REGISTRY.
with_images() {
    if [ "$cluster" = - ]; then
        sed "s|procman\.local/\([a-z-]*\):dev|$REGISTRY/\1:$(tag)|"
    else
        cat
    fi
}

tag() { git rev-parse --short HEAD; }

for stage in "$@"; do
    "$stage"
done
