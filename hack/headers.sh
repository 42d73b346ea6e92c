#!/usr/bin/env bash
# Copyright The Process Manager Authors.
# SPDX-License-Identifier: Apache-2.0

# headers.sh check: fails if a source file has no licence header, and names it.
# headers.sh add:   adds the header to those files.
# Source files are Go, shell scripts, Makefiles and Dockerfiles. Generated code
# gets the header from boilerplate.go.txt.
set -euo pipefail
cd "$(dirname "$0")/.."

license="SPDX-License-Identifier: Apache-2.0"
mapfile -t missing < <(
    find . \( -path ./.git -o -path ./bin -o -path ./out \) -prune -o -type f \
        \( -name '*.go' -o -name '*.sh' -o -name Makefile -o -name Dockerfile -o -path ./.ci/run \) -print0 |
        LC_ALL=C sort -z | xargs -0 grep --files-without-match --fixed-strings "$license"
)

case "${1:-}" in
check)
    if [ "${#missing[@]}" -gt 0 ]; then
        printf '%s: no licence header; run hack/headers.sh add\n' "${missing[@]#./}" >&2
        exit 1
    fi
    ;;
add)
    for file in "${missing[@]}"; do
        mark="#"
        [[ $file != *.go ]] || mark="//"
        header="$mark Copyright The Process Manager Authors."$'\n'"$mark $license"
        content=$(cat "$file" && printf x) # x keeps the newlines at the end
        content=${content%x}
        if [[ $content == '#!'* ]]; then
            printf '%s\n%s\n\n%s' "${content%%$'\n'*}" "$header" "${content#*$'\n'}" >"$file"
        else
            printf '%s\n\n%s' "$header" "$content" >"$file"
        fi
    done
    ;;
*)
    echo "usage: hack/headers.sh check|add" >&2
    exit 2
    ;;
esac
