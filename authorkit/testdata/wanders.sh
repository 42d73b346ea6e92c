# Goes back in its progress, and says in words where it is.
echo 50 >"$PROCESS_PROGRESS_FILE"
sleep 0.3
echo 20 >"$PROCESS_PROGRESS_FILE"
sleep 0.3
echo thinking >"$PROCESS_PROGRESS_FILE"
sleep 0.3
echo '{"greeting": "Hello"}' >"$PROCESS_OUTPUT_FILE"
