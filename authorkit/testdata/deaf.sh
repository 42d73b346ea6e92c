# Copyright The Process Manager Authors.
# SPDX-License-Identifier: Apache-2.0

# Ignores SIGTERM. So do its children.
trap '' TERM
for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18; do sleep 0.2; done
echo '{"greeting": "Hello"}' >"$PROCESS_OUTPUT_FILE"
