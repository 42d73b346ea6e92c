#!/usr/bin/env bash
# test.sh STAGE...: the checks of make test, in the order given. Stages:
# generated, lint, unit (with envtest), fuzz, e2e. The last lines sum all tests up.
set -euo pipefail
cd "$(dirname "$0")/.."
mkdir -p out
results=()

say() { printf '\n== %s\n' "$*"; }

# tests NAME DIRECTORY ARGUMENT...: go test there, recorded for the summary.
tests() {
    local record=$PWD/out/$1.json gotestsum=$PWD/bin/gotestsum directory=$2
    shift 2
    results+=("$record")
    (cd "$directory" && "$gotestsum" --format pkgname --format-hide-empty-pkg --jsonfile "$record" -- "$@")
}

generated() {
    say "generated files are current"
    make bin/controller-gen
    local before
    before=$(mktemp -d)
    cp -r api config "$before"
    make generate
    if ! diff -r "$before/api" api || ! diff -r "$before/config" config; then
        echo "the files above were out of date; make generate has just brought them up to date: commit them" >&2
        exit 1
    fi
    rm -rf "$before"
    echo "they are"
}

lint() {
    say "lint"
    make bin/golangci-lint-kube-api-linter
    bin/golangci-lint-kube-api-linter run --allow-parallel-runners ./...
    bin/golangci-lint-kube-api-linter run --allow-parallel-runners --build-tags e2e ./test/e2e/...
    bin/golangci-lint-kube-api-linter run --allow-parallel-runners --config .golangci-kal.yml ./api/...
    (cd hack/localcluster && ../../bin/golangci-lint-kube-api-linter run --allow-parallel-runners --build-tags e2e ./...)
}

unit() {
    say "unit tests and envtest"
    make bin/localcluster bin/gotestsum
    local packages=(tesseract-ocr tesseract-ocr-eng libtiff-tools poppler-utils poppler-data)
    if ! hash tesseract tiff2rgba pdftotext 2>/dev/null || [ ! -d /usr/share/poppler/cMap ]; then
        echo "installing Debian packages: ${packages[*]}"
        apt-get update -qq
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${packages[@]}" >/dev/null
    fi
    KUBEBUILDER_ASSETS=$(bin/localcluster assets)
    export KUBEBUILDER_ASSETS
    tests unit . ./...
    tests localcluster hack/localcluster ./...
}

# Every fuzz target, for a bounded time each: what a client sends must never
# cause a panic or a 5xx.
fuzz() {
    say "fuzzing, ${FUZZ_SECONDS:=10} s for each target"
    make bin/gotestsum
    local target
    for target in $(go test -list '^Fuzz' ./apiserver | grep '^Fuzz'); do
        local run=(tests "fuzz-$target" . -run "^$target\$" -fuzz "^$target\$" -fuzztime "${FUZZ_SECONDS}s" ./apiserver)
        # At the end of its time the fuzzer itself can fail (golang/go#75804). An input
        # that fails is in testdata by then, and does so again.
        "${run[@]}" || { unset 'results[-1]' && "${run[@]}"; }
    done
}

e2e() {
    say "end to end, on a real cluster"
    make bin/localcluster bin/gotestsum
    # What the pages of docs/ are tried with.
    if ! hash jq python3 ps 2>/dev/null; then
        echo "installing Debian packages: jq python3 procps"
        apt-get update -qq
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends jq python3 procps >/dev/null
    fi
    # One at a time on a machine: the cluster of tests has one name.
    exec 9>"${TMPDIR:-/tmp}/procman-e2e.lock"
    if ! flock --nonblock 9; then
        echo "another end-to-end run is under way on this machine; waiting for it to end"
        flock 9
    fi
    trap 'bin/localcluster down --name test >/dev/null 9>&-' EXIT
    bin/localcluster down --name test >/dev/null 9>&- # of a run that was cut off
    bin/localcluster up --name test 9>&-
    hack/deploy.sh test 9>&-
    local status=0
    KUBECONFIG=$(bin/localcluster kubeconfig --name test) \
        tests e2e . -tags e2e -count 1 -timeout 30m -parallel 24 ./test/e2e/... 9>&- || status=$?
    if [ "$status" != 0 ]; then
        hack/report.sh test || true
        exit "$status"
    fi
    bin/localcluster down --name test >/dev/null 9>&-
    tests cutoff hack/localcluster -tags e2e -count 1 -timeout 10m -run CutOff . 9>&-
}

unset KUBECONFIG # the tests bring a cluster of their own
for stage in "$@"; do
    "$stage"
done

if [ "${#results[@]}" -gt 0 ]; then
    say "all tests"
    bin/gotestsum --format standard-quiet --raw-command -- cat "${results[@]}"
fi
