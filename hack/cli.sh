#!/usr/bin/env bash
# Copyright The Process Manager Authors.
# SPDX-License-Identifier: Apache-2.0

# cli.sh: builds bin/procman.
set -euo pipefail
cd "$(dirname "$0")/.."
. hack/progress.sh

# A package that Go's build cache does not have is stale.
packages=$(go list -deps -f '{{if .Stale}}{{.ImportPath}}{{end}}' ./cmd/procman | grep -c . || true)
plan $((packages / 6)) "build bin/procman, $packages packages to compile" go build -ldflags "-s -w" -o bin/procman ./cmd/procman
run_plan
