# Copyright The Process Manager Authors.
# SPDX-License-Identifier: Apache-2.0

# Reports progress, runs for a while, and ends on SIGTERM.
echo 10 >"$PROCESS_PROGRESS_FILE"
sleep 1.5
echo 60.5 >"$PROCESS_PROGRESS_FILE"
echo "greeting" && echo "to standard error" >&2
echo '{"greeting": "Hello"}' >"$PROCESS_OUTPUT_FILE"
