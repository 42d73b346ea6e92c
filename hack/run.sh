#!/usr/bin/env bash
# run.sh CLUSTER PORT: from nothing to the text of a page image. When KUBECONFIG is
# set, on the cluster that it leads to instead of a local one.
set -euo pipefail
cd "$(dirname "$0")/.."
cluster=$1 port=$2
url=http://127.0.0.1:$port

for program in curl jq; do
    command -v "$program" >/dev/null && continue
    echo "installing Debian package: $program"
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$program" >/dev/null
done

make bin/localcluster
if [ -n "${KUBECONFIG:-}" ] && [ "$KUBECONFIG" != "$(bin/localcluster kubeconfig --name "$cluster" 2>/dev/null)" ]; then
    echo "using the cluster of KUBECONFIG=$KUBECONFIG"
    hack/deploy.sh -
    mkdir -p out
    PATH=$PATH:$(bin/localcluster assets)
    if [ -f out/forward.pid ]; then kill "$(cat out/forward.pid)" 2>/dev/null || true; fi
    setsid kubectl --namespace procman-system port-forward service/procman-apiserver "$port:80" >out/forward.log 2>&1 &
    echo $! >out/forward.pid
    stop="kill $(cat out/forward.pid); kubectl delete -f config/install.yaml"
    kubeconfig=$KUBECONFIG
else
    bin/localcluster up --name "$cluster" --forward "$port=30300"
    hack/deploy.sh "$cluster"
    stop="make stop"
    kubeconfig=$(bin/localcluster kubeconfig --name "$cluster")
fi

page=workers/ocr/testdata/page.png
echo "reading $page by POST $url/v1/processes/ocr"
mkdir -p out
printf '{"input":{"source":{"data":"%s"}}}' "$(base64 --wrap=0 "$page")" >out/page.json
for _ in $(seq 50); do # the Service's rules follow the pods by a moment
    created=$(curl -sS --fail-with-body -H 'Content-Type: application/json' --data-binary @out/page.json "$url/v1/processes/ocr" 2>/dev/null) && break
    sleep 0.2
done
id=$(jq --raw-output .processId <<<"$created")
answer=$created
for _ in $(seq 600); do
    [ "$(jq --raw-output .state <<<"$answer")" = processing ] || break
    sleep 0.1
    answer=$(curl -sS "$url/v1/processes/ocr/$id")
done
if [ "$(jq --raw-output .state <<<"$answer")" != complete ]; then
    echo "process $id did not complete:" >&2
    jq 'del(.input)' <<<"$answer" >&2
    exit 1
fi
echo
jq --raw-output .output.text <<<"$answer" | sed 's/^/    /'
cat <<TEXT

The service is up. Try:

    curl -s -H 'Content-Type: application/json' -d '{"input":{"hello":"world"}}' $url/v1/processes/echo
    curl -s $url/v1/processes/ocr/$id | jq .output.text
    curl -s -H 'Content-Type: application/json' -d @out/page.json $url/v1/processes/ocr | jq 'del(.input)'

With Kubernetes' eyes:

    export KUBECONFIG=$kubeconfig PATH=\$PATH:$(bin/localcluster assets)
    kubectl --namespace procman get processes

Stop it with: $stop
TEXT
