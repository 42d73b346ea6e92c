# Copyright The Process Manager Authors.
# SPDX-License-Identifier: Apache-2.0

# Crashes twice, then completes. The output differs from run to run.
if [ "$PROCESS_ATTEMPT" -lt 3 ]; then
    echo "attempt $PROCESS_ATTEMPT crashes" >&2
    exit "$((40 + PROCESS_ATTEMPT))"
fi
sleep 0.3
echo "{\"greeting\": \"Hello from $PROCESS_ID\"}" >"$PROCESS_OUTPUT_FILE"
