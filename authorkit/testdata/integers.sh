# Copyright The Process Manager Authors.
# SPDX-License-Identifier: Apache-2.0

# It reads only integers without a point.
if grep -q '2\.0' "$PROCESS_INPUT_FILE"; then
    echo "times is not an integer" >&2
    exit 1
fi
echo '{"greeting": "Hello"}' >"$PROCESS_OUTPUT_FILE"
