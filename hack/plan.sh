# Copyright The Process Manager Authors.
# SPDX-License-Identifier: Apache-2.0

# plan.sh is sourced after progress.sh. It has the steps that several commands
# share, with the seconds that they take on two free cores, and whether they have
# been done before.

# install_packages PACKAGE... installs Debian packages.
install_packages() {
    echo "installing Debian packages: $*"
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

# unless_exists FILE SECONDS prints SECONDS, or 0 if the file, or one that matches
# the pattern, exists.
unless_exists() {
    if compgen -G "$1" >/dev/null; then echo 0; else echo "$2"; fi
}

plan_localcluster() {
    plan "$(unless_exists bin/localcluster 40)" "build the command that manages the cluster" make bin/localcluster
}

# plan_parts PART... plans the build of parts of the local cluster. After an update
# of their versions, the estimate is too short: programs of the last version exist.
plan_parts() {
    local part cache=${XDG_CACHE_HOME:-$HOME/.cache}/procman/localcluster
    for part in "$@"; do
        case $part in
        etcd) plan "$(unless_exists "$cache/*/etcd" 40)" "build etcd" bin/localcluster build etcd ;;
        kubernetes) plan "$(unless_exists "$cache/*/kubelet" 300)" "build Kubernetes" bin/localcluster build kubernetes ;;
        containerd) plan "$(unless_exists "$cache/*/containerd" 60)" "build containerd" bin/localcluster build containerd ;;
        network) plan "$(unless_exists "$cache/*/coredns" 30)" "build CoreDNS and the network plugins" bin/localcluster build network ;;
        esac
    done
}

# plan_images CLUSTER plans the build of the product's images.
plan_images() {
    plan $((10 + $(unless_exists out/images/operator.tar 240))) "build the images" hack/deploy.sh "$1" images
}
