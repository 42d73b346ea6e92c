package agent

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"procman.dev/procman/internal/agentapi"
)

func TestTheWorkerWaitsForThePause(t *testing.T) {
	t.Parallel()
	asked := 0
	f := &fake{early: 2, onRequest: func(path string) {
		if path == agentapi.InputPath {
			asked++
		}
	}}
	began := time.Now()
	// Two seconds of pause would be too much for a timeout that counted them.
	r := startAgent(t, f, `echo {} >"$PROCESS_OUTPUT_FILE"`, func(c *Config) { c.Timeout = 1800 * time.Millisecond })
	if exit := r.end(t); exit != 0 || f.result == nil {
		t.Fatalf("exit %d, result %+v", exit, f.result)
	}
	if waited := f.result.StartTime.Sub(began); waited < 2*time.Second {
		t.Errorf("the worker was started after %s, want 2 s and more", waited)
	}
	if asked != 3 {
		t.Errorf("the collector was asked for the input %d times, want 3", asked)
	}
}

func TestSIGTERMEndsThePause(t *testing.T) {
	t.Parallel()
	stderr, w := io.Pipe()
	mark := filepath.Join(t.TempDir(), "ran")
	r := startAgentWith(t, &fake{early: 1000}, "touch "+mark, nil, func(c *exec.Cmd) { c.Stderr = w })
	for lines := bufio.NewScanner(stderr); ; {
		if !lines.Scan() {
			t.Fatal("the agent ended by itself")
		}
		if strings.Contains(lines.Text(), "waiting for the attempt to be due") {
			break
		}
	}
	go func() { _, _ = io.Copy(io.Discard, stderr) }()
	if err := r.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if exit := r.end(t); exit != agentapi.ExitInterrupted {
		t.Errorf("exit %d, want %d", exit, agentapi.ExitInterrupted)
	}
	if _, err := os.Stat(mark); err == nil {
		t.Error("the worker was run")
	}
}

// answers is a transport that answers one request after the other; the last
// answer stands for all that follow.
type answers []*http.Response

func (a *answers) RoundTrip(*http.Request) (*http.Response, error) {
	answer := *(*a)[0]
	if len(*a) > 1 {
		*a = (*a)[1:]
	}
	answer.Body = http.NoBody
	return &answer, nil
}

func TestFetchInputInTime(t *testing.T) {
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	early := func(after string) *http.Response {
		return &http.Response{StatusCode: http.StatusTooEarly, Header: http.Header{"Retry-After": {after}}}
	}
	given := &http.Response{StatusCode: http.StatusOK, Header: http.Header{agentapi.HeaderAttempt: {"2"}}}
	away := &http.Response{StatusCode: http.StatusServiceUnavailable}
	over := &http.Response{StatusCode: http.StatusConflict}
	for name, test := range map[string]struct {
		answers         answers
		atLeast, atMost time.Duration
		end             string
	}{
		"at once":                          {answers{given}, 0, 0, "input"},
		"the longest pause":                {answers{early("3600"), given}, time.Hour, time.Hour, "input"},
		"a pause that was not quite over":  {answers{early("3600"), early("1"), given}, time.Hour + time.Second, time.Hour + time.Second, "input"},
		"over when the pause is":           {answers{early("30"), over}, 30 * time.Second, 30 * time.Second, "not wanted"},
		"a pause without an end":           {answers{early("60")}, time.Hour, time.Hour + inputTimeout, "error"},
		"a pause longer than there is one": {answers{early("7200")}, 0, 0, "error"},
		"no word of how long":              {answers{early(""), given}, firstPause, firstPause, "input"},
		"away after the pause":             {answers{early("3600"), away}, time.Hour + inputTimeout, time.Hour + inputTimeout + longestPause, "error"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := &collector{baseURL: "http://collector", tokenFile: token, http: &http.Client{Transport: &test.answers}}
				began := time.Now()
				in, err := c.fetchInput(context.Background())
				if took := time.Since(began); took < test.atLeast || took > test.atMost {
					t.Errorf("it took %s, want %s to %s", took, test.atLeast, test.atMost)
				}
				end := "input"
				switch {
				case errors.Is(err, errNotWanted):
					end = "not wanted"
				case err != nil || in.attempt != 2:
					end = "error"
				}
				if end != test.end {
					t.Errorf("it ends with %s, want %s: attempt %d, %v", end, test.end, in.attempt, err)
				}
			})
		})
	}
}
