# Copyright The Process Manager Authors.
# SPDX-License-Identifier: Apache-2.0

# Leaves a process running, in its own session.
setsid sleep 30 >/dev/null 2>&1 &
sleep 0.3
echo '{"greeting": "Hello"}' >"$PROCESS_OUTPUT_FILE"
