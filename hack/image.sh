#!/usr/bin/env bash
# Copyright The Process Manager Authors.
# SPDX-License-Identifier: Apache-2.0

# image.sh CLUSTER DIR IMAGE [PACKAGE...]: assembles the image of a worker from the files
# of a directory, Debian packages and the agent, and loads it onto the node of the local
# cluster.
set -euo pipefail
if [ $# -lt 3 ] || [ -z "$2" ] || [ -z "$3" ]; then
    echo "usage: make image DIR=<directory of the worker> IMAGE=registry.example/name:1 [PACKAGES='python3 ...']" >&2
    exit 2
fi
cluster=$1 dir=$(realpath "$2") image=$3
shift 3
cd "$(dirname "$0")/.."
if [ ! -d "$dir" ]; then
    echo "image.sh: $dir is not a directory" >&2
    exit 2
fi
bin/localcluster kubeconfig --name "$cluster" >/dev/null # fails if it does not run
packages=$*
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
go run ./hack/images -out "$out" -image "$image" -worker "$dir" -packages "${packages// /,}"
bin/localcluster load-image --name "$cluster" "$out/worker.tar"
