# Writes an output that is larger than limits.outputBytes.
printf '{"greeting": "%01000d"}' 0 >"$PROCESS_OUTPUT_FILE"
