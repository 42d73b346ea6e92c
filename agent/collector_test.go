// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
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
	f := &fake{early: 2, timeout: 2 * time.Second, onRequest: func(path string) {
		if path == agentapi.InputPath {
			asked++
		}
	}}
	began := time.Now()
	r := startAgent(t, f, `echo {} >"$PROCESS_OUTPUT_FILE"`, nil)
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
			t.Fatal("the agent ended")
		}
		if strings.Contains(lines.Text(), "waiting for the pause") {
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

// responses is a transport that answers each request with the next response; the last
// one is for all that follow.
type responses []*http.Response

func (r *responses) RoundTrip(*http.Request) (*http.Response, error) {
	response := *(*r)[0]
	if len(*r) > 1 {
		*r = (*r)[1:]
	}
	response.Body = http.NoBody
	return &response, nil
}

func TestFetchInputInTime(t *testing.T) {
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	response := func(err error) *http.Response {
		w := httptest.NewRecorder()
		agentapi.WriteError(w, err)
		return w.Result()
	}
	early := func(wait time.Duration) *http.Response { return response(&agentapi.TooEarly{Wait: wait}) }
	accepted := &http.Response{StatusCode: http.StatusOK, Header: http.Header{agentapi.HeaderCollector: {"1"}}}
	(&agentapi.Input{ProcessID: "p", ProcessType: "t", Attempt: 2, Timeout: time.Minute}).SetHeader(accepted.Header)
	incomplete := &http.Response{StatusCode: http.StatusOK, Header: http.Header{agentapi.HeaderCollector: {"1"}}}
	unavailable, over := response(errors.New("unavailable")), response(agentapi.ErrOver)
	notFound := &http.Response{StatusCode: http.StatusNotFound, Header: http.Header{agentapi.HeaderCollector: {"1"}}}
	for name, test := range map[string]struct {
		responses       responses
		atLeast, atMost time.Duration
		end             string
	}{
		"at once":                          {responses{accepted}, 0, 0, "input"},
		"a response without its headers":   {responses{incomplete, accepted}, firstPause, firstPause, "input"},
		"404":                              {responses{notFound, accepted}, firstPause, firstPause, "input"},
		"the longest pause":                {responses{early(time.Hour), accepted}, time.Hour, time.Hour, "input"},
		"a pause that was not quite over":  {responses{early(time.Hour), early(time.Second), accepted}, time.Hour + time.Second, time.Hour + time.Second, "input"},
		"over when the pause is":           {responses{early(30 * time.Second), over}, 30 * time.Second, 30 * time.Second, "over"},
		"a pause without an end":           {responses{early(time.Minute)}, time.Hour, time.Hour + inputTimeout, "error"},
		"a pause longer than there is one": {responses{early(2 * time.Hour)}, 0, 0, "error"},
		"unavailable after the pause":      {responses{early(time.Hour), unavailable}, time.Hour + inputTimeout, time.Hour + inputTimeout + longestPause, "error"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := &collector{baseURL: "http://collector", tokenFile: token, http: &http.Client{Transport: &test.responses}}
				began := time.Now()
				in, err := c.fetchInput(context.Background(), filepath.Join(filepath.Dir(token), "input"))
				if took := time.Since(began); took < test.atLeast || took > test.atMost {
					t.Errorf("it took %s, want %s to %s", took, test.atLeast, test.atMost)
				}
				end := "input"
				switch {
				case errors.Is(err, agentapi.ErrOver):
					end = "over"
				case err != nil || in.Attempt != 2:
					end = "error"
				}
				if end != test.end {
					t.Errorf("it ends with %s, want %s: attempt %d, %v", end, test.end, in.Attempt, err)
				}
			})
		})
	}
}
