#!/usr/bin/env bash
# deploy.sh CLUSTER: builds the images, brings them into the local cluster of
# that name and installs everything with kubectl apply.
set -euo pipefail
cd "$(dirname "$0")/.."
cluster=$1
images=out/images

export KUBECONFIG
KUBECONFIG=$(bin/localcluster kubeconfig --name "$cluster")
PATH=$PATH:$(bin/localcluster assets) # for kubectl

echo "building the images"
go run ./hack/images -out "$images"
bin/localcluster load-image --name "$cluster" "$images"/*.tar

echo "installing with kubectl apply"
kubectl apply --filename config/install.yaml >/dev/null
# An image that was built anew has the same name: what it is made of tells the
# pods of now from those of before.
for name in operator apiserver; do
    kubectl --namespace procman-system patch deployment "procman-$name" --type merge --patch \
        "{\"spec\":{\"template\":{\"metadata\":{\"annotations\":{\"procman.dev/built-from\":\"$(cat "$images/$name.tar.key")\"}}}}}" >/dev/null
done
kubectl wait --for=condition=Established crd/processes.procman.dev crd/processtypes.procman.dev --timeout=30s >/dev/null
kubectl apply --kustomize config/processtypes >/dev/null
for name in operator apiserver; do
    kubectl --namespace procman-system rollout status deployment "procman-$name" --timeout=120s >/dev/null
done
kubectl --namespace procman wait --for=condition=Accepted processtypes --all --timeout=30s >/dev/null
