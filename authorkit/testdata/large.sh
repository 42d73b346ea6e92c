# Copyright The Process Manager Authors.
# SPDX-License-Identifier: Apache-2.0

# Writes an output that is larger than limits.outputBytes.
printf '{"greeting": "%01000d"}' 0 >"$PROCESS_OUTPUT_FILE"
