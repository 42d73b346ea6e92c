# Copyright The Process Manager Authors.
# SPDX-License-Identifier: Apache-2.0

# Refuses every input.
echo '{"errorCode": "Unpolite", "errorDetails": {"at": "input.name", "message": "no title"}}' >"$PROCESS_ERROR_FILE"
exit 4
