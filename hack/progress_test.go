// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package hack

import (
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// script runs bash code that uses progress.sh, and returns what it prints and its
// exit status.
func script(t *testing.T, code string) (output string, status int) {
	t.Helper()
	command := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c", ". ./progress.sh\n"+code)
	text, err := command.CombinedOutput()
	if command.ProcessState == nil {
		t.Fatal(err)
	}
	return string(text), command.ProcessState.ExitCode()
}

func TestEveryStepHasALine(t *testing.T) {
	output, status := script(t, `
		work() { echo "working on $1"; kept=$1; }
		plan 300 "build Kubernetes" work "a b"
		plan 0 "build etcd" true
		plan 90 "install" eval 'echo "after $kept"'
		run_plan`)
	want := `step 1 of 3: build Kubernetes (about 7 min left)
working on a b
step 2 of 3: build etcd (less than a minute left)
step 3 of 3: install (less than a minute left)
after a b
`
	if diff := cmp.Diff(want, output); diff != "" || status != 0 {
		t.Errorf("status %d: %s", status, diff)
	}
}

func TestFailedStepEndsTheScript(t *testing.T) {
	output, status := script(t, `
		trap 'echo cleaned up' EXIT
		fail() { false; echo "after the failure"; }
		plan 1 first fail
		plan 1 second true
		run_plan`)
	if status == 0 || strings.Contains(output, "after the failure") || strings.Contains(output, "step 2") || !strings.Contains(output, "cleaned up") {
		t.Errorf("status %d:\n%s", status, output)
	}
}

func TestRunningStepIsReported(t *testing.T) {
	output, _ := script(t, `
		PROGRESS_INTERVAL=1
		plan 60 slow sleep 2.5
		run_plan`)
	if !regexp.MustCompile(`step 1 of 1: slow, \d s so far \(`).MatchString(output) {
		t.Errorf("got:\n%s", output)
	}
}

// A script that is killed cannot end what it has started; its watcher must notice.
func TestWatcherEndsWithItsScript(t *testing.T) {
	output, _ := script(t, `
		plan 60 slow eval 'kill -9 $$'
		run_plan`) // returns when the last process has closed its standard output
	if want := "step 1 of 1: slow (about 1 min left)\n"; output != want {
		t.Errorf("got %q, want %q", output, want)
	}
}

func TestTimeLeft(t *testing.T) {
	for name, test := range map[string]struct{ state, want string }{
		"nothing is known yet":       {"time_left 0", "about 15 min left"},
		"within the plan":            {"time_left 240", "about 11 min left"},
		"twice as slow so far":       {"planned_seconds=300 actual_seconds=630; time_left 0", "about 30 min left"},
		"twice as fast so far":       {"planned_seconds=300 actual_seconds=135; time_left 0", "about 8 min left"},
		"this step is slow":          {"time_left 1200", "about 7 min left"},
		"last step, near its end":    {"current_step=1; time_left 290", "less than a minute left"},
		"last step, longer by far":   {"current_step=1; time_left 900", "about 2 min left"},
		"last step, nothing to do":   {"step_seconds[1]=0 current_step=1; time_left 0", "less than a minute left"},
		"nothing to do, and slow":    {"step_seconds=(0 0); time_left 1200", "about 2 min left"},
		"a short step counts little": {"planned_seconds=1 actual_seconds=5; time_left 0", "about 17 min left"},
		"all but the last are done":  {"step_seconds[0]=0; time_left 0", "about 5 min left"},
	} {
		t.Run(name, func(t *testing.T) {
			output, _ := script(t, "plan 600 first true; plan 300 second true; "+test.state)
			if got := strings.TrimSpace(output); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}
