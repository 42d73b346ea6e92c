# Copyright The Process Manager Authors.
# SPDX-License-Identifier: Apache-2.0

# Its progress goes back, and once it is not a number.
echo 50 >"$PROCESS_PROGRESS_FILE"
sleep 0.3
echo 20 >"$PROCESS_PROGRESS_FILE"
sleep 0.3
echo thinking >"$PROCESS_PROGRESS_FILE"
sleep 0.3
echo '{"greeting": "Hello"}' >"$PROCESS_OUTPUT_FILE"
