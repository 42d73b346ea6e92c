# Copyright The Process Manager Authors.
# SPDX-License-Identifier: Apache-2.0

# progress.sh is sourced by commands of several steps. It prints which step is
# running and about how long the rest takes.
#
#   plan SECONDS NAME COMMAND...   adds a step. SECONDS is how long it takes on two
#                                  free cores; 0 if there is nothing left to do.
#                                  A second step of the same name is ignored
#   run_plan                       runs all steps in order. The first that fails
#                                  ends the script (with set -e)
#
# The estimate assumes that the other steps are slower or faster than planned by the
# same factor as the steps that have ended.

# How often a running step is reported, in seconds.
: "${PROGRESS_INTERVAL:=30}"

step_seconds=() step_names=() step_commands=()
current_step=0    # the index of the running step
planned_seconds=0 # of the steps that have ended
actual_seconds=0  # of the same steps

plan() {
    local name
    for name in "${step_names[@]}"; do
        [ "$name" != "$2" ] || return 0
    done
    step_seconds+=("$1")
    step_names+=("$2")
    shift 2
    step_commands+=("${*@Q}")
}

run_plan() {
    local start watcher
    for current_step in "${!step_names[@]}"; do
        start=$SECONDS
        step_line 0
        watch_step "$start" &
        watcher=$!
        eval "${step_commands[current_step]}"
        kill "$watcher" 2>/dev/null || true
        wait "$watcher" 2>/dev/null || true
        planned_seconds=$((planned_seconds + step_seconds[current_step]))
        actual_seconds=$((actual_seconds + SECONDS - start))
    done
}

# watch_step START prints a line now and then until it is killed or the script ends.
watch_step() {
    local start=$1 elapsed last=0
    while sleep 1 && kill -0 $$ 2>/dev/null; do
        elapsed=$((SECONDS - start))
        if [ $((elapsed - last)) -ge "$PROGRESS_INTERVAL" ]; then
            last=$elapsed
            step_line "$elapsed"
        fi
    done
}

# step_line ELAPSED prints the line of the running step.
step_line() {
    local so_far=
    [ "$1" = 0 ] || so_far=", $1 s so far"
    printf 'step %d of %d: %s%s (%s)\n' $((current_step + 1)) ${#step_names[@]} "${step_names[current_step]}" "$so_far" "$(time_left "$1")"
}

# time_left ELAPSED estimates the time until the end of the last step, when the
# running step has taken ELAPSED seconds.
time_left() {
    local elapsed=$1 planned=${step_seconds[current_step]} percent later=0 rest i
    # Actual over planned time. The constant keeps short steps from deciding it.
    percent=$((100 * (actual_seconds + 30) / (planned_seconds + 30)))
    for ((i = current_step + 1; i < ${#step_names[@]}; i++)); do
        later=$((later + step_seconds[i]))
    done
    rest=$((percent * planned / 100 - elapsed))
    if [ "$rest" -lt $((elapsed / 10)) ]; then
        rest=$((elapsed / 10))
    fi
    rest=$((rest + percent * later / 100))
    if [ "$rest" -lt 60 ]; then
        echo "less than a minute left"
    else
        echo "about $(((rest + 30) / 60)) min left"
    fi
}
