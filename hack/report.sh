#!/usr/bin/env bash
# Copyright The Process Manager Authors.
# SPDX-License-Identifier: Apache-2.0

# report.sh CLUSTER: prints what helps to find the cause of a failure on that local
# cluster.
set -uo pipefail
cd "$(dirname "$0")/.."
export KUBECONFIG
KUBECONFIG=$(bin/localcluster kubeconfig --name "$1") || exit
PATH=$PATH:$(bin/localcluster assets)
kubectl get nodes,pods --all-namespaces --output wide
kubectl --namespace procman get processes,jobs
kubectl --namespace procman get events --sort-by .lastTimestamp | tail -40
for name in operator apiserver; do
    kubectl --namespace procman-system logs --selector "app.kubernetes.io/name=procman-$name" --prefix --tail 100
done
