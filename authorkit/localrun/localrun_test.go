// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package localrun_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"procman.dev/procman/api/v1alpha1"
	"procman.dev/procman/authorkit/localrun"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == localrun.AgentCommand {
		os.Exit(localrun.RunAgent(os.Args[2:], os.Environ()))
	}
	os.Exit(m.Run())
}

func script(text string) localrun.Options {
	return localrun.Options{
		Type: &v1alpha1.ProcessType{ObjectMeta: metav1.ObjectMeta{Name: "test"}, Spec: v1alpha1.ProcessTypeSpec{
			TimeoutSeconds: 20, Attempts: 3, LifetimeSeconds: 60,
		}},
		Input: []byte(`{"n": 1.0}`), Command: []string{"/bin/sh", "-c", text}, Program: os.Args[0], Grace: time.Second,
	}
}

func TestRun(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		script   string
		change   func(*localrun.Options)
		want     v1alpha1.ProcessStatus
		attempts int
	}{
		"the input, byte for byte": {
			script: `cat "$PROCESS_INPUT_FILE" >"$PROCESS_OUTPUT_FILE"`, attempts: 1,
			want: v1alpha1.ProcessStatus{State: v1alpha1.StateComplete, Output: `{"n": 1.0}`},
		},
		"the contract's environment": {
			script:   `test -n "$PROCESS_DEADLINE" && case $PROCESS_ID in local-*) echo "{\"type\":\"$PROCESS_TYPE\",\"ours\":\"$(env | grep -c ^PROCMAN_)\"}" >"$PROCESS_OUTPUT_FILE";; esac`,
			attempts: 1, want: v1alpha1.ProcessStatus{State: v1alpha1.StateComplete, Output: "{\"type\":\"test\",\"ours\":\"0\"}\n"},
		},
		"no output": {script: "true", attempts: 1, want: v1alpha1.ProcessStatus{State: v1alpha1.StateError, ErrorCode: "OutputMissing"}},
		"a deadline": {
			script: "sleep 20", change: func(o *localrun.Options) { o.Timeout = time.Second }, attempts: 1,
			want: v1alpha1.ProcessStatus{State: v1alpha1.StateError, ErrorCode: "DeadlineExceeded"},
		},
		"each attempt has a directory of its own": {
			script: `test -e "$PROCESS_INPUT_FILE.mark" && exit 1; touch "$PROCESS_INPUT_FILE.mark"; test $PROCESS_ATTEMPT = 2 || exit 1; echo {} >"$PROCESS_OUTPUT_FILE"`, attempts: 2,
			want: v1alpha1.ProcessStatus{State: v1alpha1.StateComplete, Output: "{}\n"},
		},
		"the agent is killed": {script: `kill -9 $PPID`, attempts: 3, want: v1alpha1.ProcessStatus{State: v1alpha1.StateError, ErrorCode: "WorkerFailed"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := script(test.script)
			if test.change != nil {
				test.change(&o)
			}
			got, err := localrun.Run(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			status := got.Process.Status
			if status.State != test.want.State || status.Output != test.want.Output || status.ErrorCode != test.want.ErrorCode || len(got.Attempts) != test.attempts || got.Cancelled {
				t.Errorf("got %+v after %d attempts, cancelled: %t", status, len(got.Attempts), got.Cancelled)
			}
		})
	}
}

func TestProgress(t *testing.T) {
	t.Parallel()
	reported := filepath.Join(t.TempDir(), "reported") // the worker waits for it
	o := script(`echo 30.7 >"$PROCESS_PROGRESS_FILE"; until test -e ` + reported + `; do sleep 0.05; done; echo {} >"$PROCESS_OUTPUT_FILE"`)
	var wrote []string
	o.Observe = func(e localrun.Event) {
		switch e.Kind {
		case localrun.Wrote:
			wrote = append(wrote, e.Text)
		case localrun.Progressed:
			if err := os.WriteFile(reported, nil, 0o600); err != nil || e.Percent != 30 || e.Attempt != 1 || e.Attempts != 3 {
				t.Errorf("got %+v, %v", e, err)
			}
		default:
		}
	}
	got, err := localrun.Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if p := got.Process.Status.PercentComplete; p == nil || *p != 30 || strings.Join(wrote, " ") != "30.7" {
		t.Errorf("the process is %+v, the worker wrote %v", got.Process.Status, wrote)
	}
}

func TestCancelling(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	o := script(`trap 'touch ` + filepath.Join(dir, "sigterm") + `; exit 3' TERM; echo 1 >"$PROCESS_PROGRESS_FILE"; while :; do sleep 0.05; done`)
	o.Observe = func(e localrun.Event) {
		if e.Kind == localrun.Wrote { // the worker has set its trap
			cancel()
		}
	}
	got, err := localrun.Run(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	if !got.Cancelled || got.Process.Finished() || len(got.Attempts) != 1 {
		t.Errorf("got %+v", got)
	}
	if _, err := os.Stat(filepath.Join(dir, "sigterm")); err != nil {
		t.Errorf("the worker got no SIGTERM: %v", err)
	}
}

func TestLeftBehind(t *testing.T) {
	t.Parallel()
	const running = `& until grep -q sleep /proc/$!/comm; do :; done; `
	for name, test := range map[string]struct{ script, want string }{
		"nothing":                     {"sleep 0.01 & true", ""},
		"a child":                     {"sleep 20 " + running, "sleep"},
		"a child in its own session":  {"setsid sleep 20 " + running, "sleep"},
		"a child of a worker crashed": {"sleep 20 " + running + "exit 3", "sleep"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			names, err := localrun.LeftBehind(t.Context(), script(test.script))
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(names, " "); got != test.want {
				t.Errorf("left behind: %q, want %q", got, test.want)
			}
		})
	}
}
