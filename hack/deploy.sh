#!/usr/bin/env bash
# deploy.sh CLUSTER: builds the images and installs everything with kubectl apply
# on the local cluster of that name; or, with "-" for CLUSTER, on the one that
# KUBECONFIG leads to, whose nodes pull from REGISTRY.
set -euo pipefail
cd "$(dirname "$0")/.."
cluster=$1
images=out/images

PATH=$PATH:$(bin/localcluster assets) # for kubectl
if [ "$cluster" = - ]; then
    : "${REGISTRY:?set REGISTRY to where the nodes of this cluster pull images from, such as registry.example/procman}"
    echo "building the images and pushing them to $REGISTRY"
    tag=$(git rev-parse --short HEAD)
    go run ./hack/images -push "$REGISTRY" -tag "$tag"
    named() { sed "s|procman\.local/\([a-z-]*\):dev|$REGISTRY/\1:$tag|"; }
else
    export KUBECONFIG
    KUBECONFIG=$(bin/localcluster kubeconfig --name "$cluster")
    echo "building the images"
    go run ./hack/images -out "$images"
    bin/localcluster load-image --name "$cluster" "$images"/*.tar
    named() { cat; }
fi

echo "installing with kubectl apply"
named <config/install.yaml | kubectl apply --filename - >/dev/null
if [ "$cluster" != - ]; then
    # An image that was built anew has the same name: what it is made of tells
    # the pods of now from those of before.
    for name in operator apiserver; do
        kubectl --namespace procman-system patch deployment "procman-$name" --type merge --patch \
            "{\"spec\":{\"template\":{\"metadata\":{\"annotations\":{\"procman.dev/built-from\":\"$(cat "$images/$name.tar.key")\"}}}}}" >/dev/null
    done
fi
kubectl wait --for=condition=Established crd/processes.procman.dev crd/processtypes.procman.dev --timeout=30s >/dev/null
kubectl kustomize config/processtypes | named | kubectl apply --filename - >/dev/null
for name in operator apiserver; do
    kubectl --namespace procman-system rollout status deployment "procman-$name" --timeout=120s >/dev/null
done
kubectl --namespace procman wait --for=condition=Accepted processtypes --all --timeout=30s >/dev/null
