// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"errors"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"procman.dev/procman/internal/agentapi"
)

func content(text string) *file { return &file{size: int64(len(text)), content: []byte(text)} }

func nested(depth int) string {
	return strings.Repeat(`{"a":`, depth-1) + `{}` + strings.Repeat(`}`, depth-1)
}

func TestJudge(t *testing.T) {
	b := bounds{timeout: 90 * time.Second, outputLimit: 400}
	for name, test := range map[string]struct {
		ending ending
		code   string // "" is complete
		retry  bool
		in     string // what the details hold
	}{
		"exit 0 with an output":             {ending{output: content(`{"a": 1.0}`)}, "", false, ""},
		"exit 0 without an output":          {ending{}, "OutputMissing", false, "PROCESS_OUTPUT_FILE"},
		"exit 0, output no JSON":            {ending{output: content(`{"a":`)}, "OutputInvalid", false, `"at":"output.a","in":"output"`},
		"exit 0, output no object":          {ending{output: content(`[]`)}, "OutputInvalid", false, `{"at":"output","expected":{"type":"object"},"in":"output"`},
		"exit 0, keys twice":                {ending{output: content(`{"a":1,"a":2}`)}, "OutputInvalid", false, `"at":"output.a"`},
		"exit 0, invalid UTF-8":             {ending{output: content("{\"a\":[1,\"\xff\"]}")}, "OutputInvalid", false, `"at":"output.a[1]"`},
		"exit 0, NUL":                       {ending{output: content(`{"a":"\u0000"}`)}, "OutputInvalid", false, `"at":"output.a"`},
		"exit 0, nested as deep as may be":  {ending{output: content(nested(64))}, "", false, ""},
		"exit 0, nested deeper":             {ending{output: content(nested(65))}, "OutputInvalid", false, "deeper than 64"},
		"exit 0, output over the limit":     {ending{output: &file{size: 401}}, "OutputTooLarge", false, `"bytes":401`},
		"over the limit, memory, deadline":  {ending{output: &file{size: 401}, oomKills: 1, timedOut: true}, "OutputTooLarge", false, `"maxBytes":400`},
		"over the limit, told to stop":      {ending{output: &file{size: 401}, interrupted: true, signal: syscall.SIGKILL}, "OutputTooLarge", false, ""},
		"exit 0, output cannot be read":     {ending{output: &file{err: errors.New("no")}}, "OutputInvalid", false, "no"},
		"exit code":                         {ending{exitCode: 3, stderr: "oops", output: content(`{}`)}, "WorkerFailed", true, `"exitCode":3,"stderr":"oops"`},
		"signal":                            {ending{signal: syscall.SIGSEGV}, "WorkerFailed", true, `"signal":"SIGSEGV"`},
		"no such command":                   {ending{startProblem: "/worker does not exist"}, "WorkerFailed", false, "could not be started: /worker does not exist"},
		"a known cause":                     {ending{exitCode: 3, stderr: "oops", cause: "closed"}, "WorkerFailed", true, `"exitCode":3,"message":"closed","stderr":"oops"`},
		"a cause that stays":                {ending{exitCode: 127, stderr: "oops", cause: "carriage returns", permanent: true}, "WorkerFailed", false, `{"exitCode":127,"message":"carriage returns"}`},
		"deadline":                          {ending{timedOut: true, signal: syscall.SIGTERM}, "DeadlineExceeded", false, `"timeoutSeconds":90`},
		"deadline, and exit 0 after it":     {ending{timedOut: true, output: content(`{}`)}, "DeadlineExceeded", false, ""},
		"out of memory":                     {ending{oomKills: 1, signal: syscall.SIGKILL}, "OutOfMemory", false, "limits.memory"},
		"out of memory in a child, exit 0":  {ending{oomKills: 1, output: content(`{}`)}, "OutOfMemory", false, ""},
		"error file":                        {ending{errorFile: content(`{"errorCode":"No","errorDetails":{"a": 1.0}}`)}, "No", false, `{"a": 1.0}`},
		"error file, whatever the exit":     {ending{exitCode: 9, errorFile: content(`{"errorCode":"No"}`)}, "No", false, ""},
		"error file before memory":          {ending{oomKills: 1, errorFile: content(`{"errorCode":"No"}`)}, "No", false, ""},
		"error file without a code":         {ending{errorFile: content(`{}`)}, "OutputInvalid", false, `{"at":"error.errorCode","expected":{"pattern":`},
		"error file with a code of 2 words": {ending{errorFile: content(`{"errorCode":"a b"}`)}, "OutputInvalid", false, ""},
		"error file, details no object":     {ending{errorFile: content(`{"errorCode":"No","errorDetails":1}`)}, "OutputInvalid", false, `{"at":"error.errorDetails","expected":{"type":"object"}`},
		"error file, details null":          {ending{errorFile: content(`{"errorCode":"No","errorDetails":null}`)}, "No", false, ""},
		"error file, code no string":        {ending{errorFile: content(`{"errorCode":7}`)}, "OutputInvalid", false, `"at":"error.errorCode"`},
		"error file, another spelling":      {ending{errorFile: content(`{"ErrorCode":"No"}`)}, "OutputInvalid", false, `"at":"error.ErrorCode"`},
		"error file, something else":        {ending{errorFile: content(`{"errorCode":"No","message":"m"}`)}, "OutputInvalid", false, `"at":"error.message"`},
		"error file no JSON":                {ending{errorFile: content(`No`)}, "OutputInvalid", false, `"in":"error"`},
		"error file too large":              {ending{errorFile: &file{size: 1 << 20}}, "OutputInvalid", false, `"bytes":1048576,"in":"error","maxBytes":65536`},
	} {
		t.Run(name, func(t *testing.T) {
			r := judge(test.ending, b)
			if r.ErrorCode != test.code || r.Retry != test.retry || !strings.Contains(r.ErrorDetails, test.in) {
				t.Errorf("got %q, retry %t, details %s; want %q, retry %t, details with %s", r.ErrorCode, r.Retry, r.ErrorDetails, test.code, test.retry, test.in)
			}
			if r.Complete() != (test.code == "") {
				t.Errorf("complete is %t: %+v", r.Complete(), r)
			}
		})
	}
	if r := judge(ending{output: content(`{"a": 1.0}`)}, b); r.Output != `{"a": 1.0}` {
		t.Errorf("the output is %q, not what the worker wrote", r.Output)
	}
	if r := judge(ending{exitCode: 1, interrupted: true}, b); !r.Interrupted {
		t.Error("an attempt that got SIGTERM is not interrupted")
	}
	if r := judge(ending{interrupted: true}, b); !r.Interrupted || !r.Retry {
		t.Errorf("a worker that exited with 0 after SIGTERM, without an output, is %+v", r)
	}
	if r := judge(ending{interrupted: true, output: content(`{"half": `)}, b); !r.Interrupted || !r.Retry {
		t.Errorf("a worker that left half an output after SIGTERM is %+v", r)
	}
	if r := judge(ending{interrupted: true, output: content(`{}`)}, b); !r.Complete() {
		t.Errorf("a worker that was complete before SIGTERM is %+v", r)
	}
}

func TestExitCode(t *testing.T) {
	for name, test := range map[string]struct {
		ending ending
		result agentapi.Result
		want   int
	}{
		"complete":               {ending{}, agentapi.Result{Output: "{}"}, 0},
		"final":                  {ending{exitCode: 4}, agentapi.Result{ErrorCode: "No"}, agentapi.ExitFinal},
		"crash":                  {ending{exitCode: 4}, agentapi.Result{ErrorCode: "WorkerFailed", Retry: true}, 4},
		"told to stop":           {ending{signal: syscall.SIGTERM}, agentapi.Result{ErrorCode: "WorkerFailed", Retry: true, Interrupted: true}, agentapi.ExitInterrupted},
		"crash that looks so":    {ending{exitCode: agentapi.ExitInterrupted}, agentapi.Result{ErrorCode: "WorkerFailed", Retry: true}, 1},
		"crash that looks final": {ending{exitCode: agentapi.ExitFinal}, agentapi.Result{ErrorCode: "WorkerFailed", Retry: true}, 1},
		"signal":                 {ending{signal: syscall.SIGKILL}, agentapi.Result{ErrorCode: "WorkerFailed", Retry: true}, 137},
	} {
		t.Run(name, func(t *testing.T) {
			if got := exitCode(test.ending, test.result); got != test.want {
				t.Errorf("got %d, want %d", got, test.want)
			}
		})
	}
}

func TestParseConfig(t *testing.T) {
	environ := []string{
		"PATH=/bin", "MODE=fast", "PROCMAN_COLLECTOR_URL=http://c:1/",
		"PROCMAN_GRACE_SECONDS=2", "PROCMAN_OUTPUT_LIMIT_BYTES=10",
	}
	got, err := ParseConfig([]string{"--", "/worker", "--", "-x"}, environ)
	if err != nil {
		t.Fatal(err)
	}
	want := Config{
		Delivery:     agentapi.DeliveryTimeout,
		CollectorURL: "http://c:1", TokenFile: agentapi.TokenFile, TerminationLog: agentapi.TerminationLog, Dir: "/process",
		Grace: 2 * time.Second, OutputLimit: 10,
		Command: []string{"/worker", "--", "-x"}, Environ: []string{"PATH=/bin", "MODE=fast"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	_, err = ParseConfig(nil, []string{"PROCMAN_GRACE_SECONDS=x"})
	for _, name := range []string{"PROCMAN_COLLECTOR_URL", "PROCMAN_GRACE_SECONDS", "PROCMAN_OUTPUT_LIMIT_BYTES", "worker command"} {
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("the error does not name %s: %v", name, err)
		}
	}
}

func TestTailKeepsTheEnd(t *testing.T) {
	var tl tail
	for range 1000 {
		_, _ = tl.Write([]byte("a line of some length\n"))
	}
	_, _ = tl.Write([]byte("the la\x00st\xff\n"))
	got := tl.String()
	if len(got) > tailBytes+4 || !strings.HasPrefix(got, "a line") || !strings.HasSuffix(got, "the la\uFFFDst\uFFFD") {
		t.Errorf("kept %d bytes: %.30q ... %.30q", len(got), got, got[max(0, len(got)-30):])
	}
	var one tail
	_, _ = one.Write([]byte(strings.Repeat("x", 3*tailBytes)))
	if got := one.String(); len(got) != tailBytes {
		t.Errorf("of one long line %d bytes are kept, want %d", len(got), tailBytes)
	}
}

func TestOOMKillCount(t *testing.T) {
	for name, test := range map[string]struct {
		text string
		want int64
	}{
		"v2":    {"low 0\nhigh 0\nmax 12\noom 3\noom_kill 2\noom_group_kill 0\n", 2},
		"v1":    {"oom_kill_disable 0\nunder_oom 0\noom_kill 5\n", 5},
		"other": {"nothing\n", 0},
	} {
		t.Run(name, func(t *testing.T) {
			if got := oomKillCount(test.text); got != test.want {
				t.Errorf("got %d, want %d", got, test.want)
			}
		})
	}
}
