# Copyright The Process Manager Authors.
# SPDX-License-Identifier: Apache-2.0

# Writes an output that outputSchema does not allow. Its progress goes back.
echo 50 >"$PROCESS_PROGRESS_FILE"
sleep 0.3
echo 40 >"$PROCESS_PROGRESS_FILE"
sleep 0.3
echo 140 >"$PROCESS_PROGRESS_FILE"
echo '{"greeting": 7}' >"$PROCESS_OUTPUT_FILE"
