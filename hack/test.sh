#!/usr/bin/env bash
# Copyright The Process Manager Authors.
# SPDX-License-Identifier: Apache-2.0

# test.sh STAGE...: runs the checks of make test, in the given order. Stages:
# generated, lint, unit (with envtest), fuzz, e2e. The last lines sum up all tests.
set -euo pipefail
cd "$(dirname "$0")/.."
. hack/progress.sh
. hack/plan.sh
mkdir -p out
results=()

# tests NAME DIRECTORY ARGUMENT...: runs go test in the directory and records the
# results for the summary.
tests() {
    local record=$PWD/out/$1.json gotestsum=$PWD/bin/gotestsum directory=$2
    shift 2
    results+=("$record")
    (cd "$directory" && "$gotestsum" --format pkgname --format-hide-empty-pkg --jsonfile "$record" -- "$@")
}

check_generated() {
    local before
    before=$(mktemp -d)
    cp -r api config "$before"
    make generate
    if ! diff -r "$before/api" api || ! diff -r "$before/config" config; then
        echo "the files above were out of date; make generate has just updated them: commit them" >&2
        exit 1
    fi
    rm -rf "$before"
}

lint() {
    hack/headers.sh check
    bin/golangci-lint-kube-api-linter run --allow-parallel-runners ./...
    bin/golangci-lint-kube-api-linter run --allow-parallel-runners --build-tags e2e ./test/e2e/...
    bin/golangci-lint-kube-api-linter run --allow-parallel-runners --config .golangci-kal.yml ./api/...
    (cd hack/localcluster && ../../bin/golangci-lint-kube-api-linter run --allow-parallel-runners --build-tags e2e ./...)
    (cd cmd/store && ../../bin/golangci-lint-kube-api-linter run --allow-parallel-runners ./...)
    go test -count 1 -tags lint ./test/tree -run Depguard
}

unit() {
    if ! hash tesseract convert-im6.q16 pdftotext 2>/dev/null || [ ! -d /usr/share/poppler/cMap ]; then
        install_packages tesseract-ocr tesseract-ocr-eng tesseract-ocr-osd imagemagick-6.q16 poppler-utils poppler-data
    fi
    hash npm python3 2>/dev/null || install_packages npm python3 # for test/clients
    KUBEBUILDER_ASSETS=$(bin/localcluster assets)
    export KUBEBUILDER_ASSETS
    tests unit . ./...
    tests store cmd/store ./...
    tests localcluster hack/localcluster ./...
}

# fuzz runs every fuzz target for FUZZ_SECONDS: no request may cause a panic or a 5xx.
fuzz() {
    local target
    for target in $(go test -list '^Fuzz' ./apiserver | grep '^Fuzz'); do
        local run=(tests "fuzz-$target" . -run "^$target\$" -fuzz "^$target\$" -fuzztime "${FUZZ_SECONDS}s" ./apiserver)
        # The fuzzer itself can fail at the end of its time (golang/go#75804). If an
        # input fails, it is in testdata, and the second run fails, too.
        "${run[@]}" || { unset 'results[-1]' && "${run[@]}"; }
    done
}

start_cluster() {
    hash jq node python3 ps 2>/dev/null || install_packages jq nodejs python3 procps # for the examples in docs/
    # Two end-to-end runs on one machine would use the same cluster.
    exec 9>"${TMPDIR:-/tmp}/procman-e2e.lock"
    if ! flock --nonblock 9; then
        echo "another end-to-end run is running on this machine; waiting for it to end"
        flock 9
    fi
    trap 'bin/localcluster down --name test >/dev/null 9>&-' EXIT
    bin/localcluster down --name test >/dev/null 9>&- # of a run that was interrupted
    bin/localcluster up --name test 9>&-
}

e2e() {
    local status=0
    KUBECONFIG=$(bin/localcluster kubeconfig --name test) \
        tests e2e . -tags e2e -count 1 -timeout 30m -parallel 10 ./test/e2e/... 9>&- || status=$?
    if [ "$status" != 0 ]; then
        hack/report.sh test || true
        exit "$status"
    fi
    bin/localcluster down --name test >/dev/null 9>&-
}

test_localcluster() {
    tests cutoff hack/localcluster -tags e2e -count 1 -timeout 10m -run CutOff . 9>&-
}

plan_stage() {
    plan "$(unless_exists bin/gotestsum 240)" "build the tools of hack/tools" make bin/gotestsum
    case $1 in
    generated) plan 20 "check that generated files are current" check_generated ;;
    lint) plan 150 "lint" lint ;;
    unit)
        plan_localcluster
        plan_parts etcd kubernetes
        plan 240 "unit tests and envtest" unit
        ;;
    # Of that, 4 minutes compile everything once with the instructions of the fuzzer.
    fuzz) plan $((240 + 5 * (${FUZZ_SECONDS:=10} + 10))) "fuzz, $FUZZ_SECONDS s for each target" fuzz ;;
    e2e)
        plan_localcluster
        plan_parts etcd kubernetes containerd network
        plan 15 "start a cluster for the end-to-end tests" start_cluster
        plan_images test
        plan 20 "install the product" hack/deploy.sh test install
        plan 420 "end-to-end tests" e2e
        plan 60 "test the local cluster itself" test_localcluster
        ;;
    *)
        echo "stage is $1, expected generated, lint, unit, fuzz or e2e" >&2
        exit 2
        ;;
    esac
}

unset KUBECONFIG # the tests start a cluster of their own
for stage in "$@"; do
    plan_stage "$stage"
done
run_plan

if [ ${#results[@]} -gt 0 ]; then
    echo "all tests:"
    bin/gotestsum --format standard-quiet --raw-command -- cat "${results[@]}"
fi
