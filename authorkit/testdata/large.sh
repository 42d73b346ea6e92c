# Returns more than its type allows.
printf '{"greeting": "%01000d"}' 0 >"$PROCESS_OUTPUT_FILE"
