# Leaves a process behind, in a session of its own.
setsid sleep 30 >/dev/null 2>&1 &
sleep 0.3
echo '{"greeting": "Hello"}' >"$PROCESS_OUTPUT_FILE"
