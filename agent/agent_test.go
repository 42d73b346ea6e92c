// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"procman.dev/procman/internal/agentapi"
)

// The agent waits for every child of its process, so each of these tests runs it in a
// process of its own: this test binary with an environment variable.
func TestMain(m *testing.M) {
	if os.Getenv("WORKER_UNDER_TEST") != "" {
		loner()
	}
	if settings := os.Getenv("AGENT_UNDER_TEST"); settings != "" {
		var c Config
		if err := json.Unmarshal([]byte(settings), &c); err != nil {
			panic(err)
		}
		c.Environ = os.Environ()
		os.Exit(Run(context.Background(), c))
	}
	os.Exit(m.Run())
}

// fake is a collector that records what it gets.
type fake struct {
	mu          sync.Mutex
	unavailable int           // how many requests are answered with 503 first
	early       int           // how many requests for the input are answered with 425 first
	foreign     []int         // the statuses with which something on the way answers the first requests
	refusal     error         // the answer to every request for refusalAt, if set
	refusalAt   string        // the prefix of a path
	timeout     time.Duration // of the attempt; 20 s when 0
	onRequest   func(path string)
	loseReply   bool // the first result is kept, and answered with 503
	result      *agentapi.Result
	progress    []int32
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	body, _ := io.ReadAll(r.Body)
	if f.onRequest != nil {
		f.onRequest(r.URL.Path)
	}
	if len(f.foreign) > 0 {
		status := f.foreign[0]
		f.foreign = f.foreign[1:]
		w.WriteHeader(status)
		return
	}
	if err := f.answer(w, r.URL.Path, r.Header, body); err != nil {
		agentapi.WriteError(w, err)
	}
}

func (f *fake) answer(w http.ResponseWriter, path string, header http.Header, body []byte) error {
	w.Header().Set(agentapi.HeaderCollector, "1")
	switch {
	case header.Get("Authorization") != "Bearer secret":
		return agentapi.ErrUnauthenticated
	case f.unavailable > 0:
		f.unavailable--
		return errors.New("unavailable")
	case f.refusal != nil && strings.HasPrefix(path, f.refusalAt):
		return f.refusal
	case path == agentapi.InputPath && f.early > 0:
		f.early--
		return &agentapi.TooEarly{Wait: time.Second}
	case path == agentapi.InputPath:
		in := agentapi.Input{ProcessID: "the-process", ProcessType: "the-type", Attempt: 2, Timeout: cmp.Or(f.timeout, 20*time.Second)}
		in.SetHeader(w.Header())
		_, _ = io.WriteString(w, `{"n": 1.0}`)
	case path == agentapi.ResultPath && f.result != nil:
		return agentapi.ErrOver
	case path == agentapi.ResultPath:
		result, err := agentapi.ReadResult(header, string(body))
		if err != nil {
			return err
		}
		f.result = &result
		if f.loseReply {
			return errors.New("the reply is lost")
		}
	case path == agentapi.ProgressPath:
		var p agentapi.Progress
		_ = json.Unmarshal(body, &p)
		f.progress = append(f.progress, p.PercentComplete)
	}
	return nil
}

// run is an agent under test.
type run struct {
	cmd     *exec.Cmd
	config  Config
	stderr  bytes.Buffer
	fake    *fake
	receipt func(t *testing.T) agentapi.Receipt
}

// startAgent starts an agent on a shell script.
func startAgent(t *testing.T, f *fake, script string, change func(*Config)) *run {
	t.Helper()
	return startAgentWith(t, f, script, change, nil)
}

// startAgentWith does so with a command that is changed, too.
func startAgentWith(t *testing.T, f *fake, script string, change func(*Config), changeCmd func(*exec.Cmd)) *run {
	t.Helper()
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	dir := t.TempDir()
	r := &run{fake: f, config: Config{
		Delivery:     time.Minute,
		CollectorURL: server.URL, TokenFile: filepath.Join(dir, "token"), TerminationLog: filepath.Join(dir, "log"), Dir: dir,
		Grace: time.Second, OutputLimit: 1000, Command: []string{"/bin/sh", "-c", script},
	}}
	if change != nil {
		change(&r.config)
	}
	if err := os.WriteFile(r.config.TokenFile, []byte("secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	settings, err := json.Marshal(r.config)
	if err != nil {
		t.Fatal(err)
	}
	r.cmd = exec.Command(os.Args[0])
	r.cmd.Env = append(os.Environ(), "AGENT_UNDER_TEST="+string(settings), "TEST_BINARY="+os.Args[0])
	r.cmd.Stderr = &r.stderr
	r.receipt = func(t *testing.T) agentapi.Receipt {
		t.Helper()
		text, err := os.ReadFile(r.config.TerminationLog)
		if err != nil {
			t.Fatal(err)
		}
		receipt, err := agentapi.DecodeReceipt(string(text))
		if err != nil {
			t.Fatal(err)
		}
		return receipt
	}
	if changeCmd != nil {
		changeCmd(r.cmd)
	}
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return r
}

// end waits for the agent's end and returns its exit code.
func (r *run) end(t *testing.T) int {
	t.Helper()
	_ = r.cmd.Wait()
	if t.Failed() || testing.Verbose() {
		t.Log(r.stderr.String())
	}
	return r.cmd.ProcessState.ExitCode()
}

func TestRun(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		script string
		fake   *fake
		change func(*Config)
		exit   int
		want   agentapi.Result
		in     string // part of the details
	}{
		"output": {script: `cat "$PROCESS_INPUT_FILE" >"$PROCESS_OUTPUT_FILE"`, want: agentapi.Result{Output: `{"n": 1.0}`}},
		"the environment": {
			script: `echo "{\"id\":\"$PROCESS_ID\",\"type\":\"$PROCESS_TYPE\",\"attempt\":$PROCESS_ATTEMPT,\"settings\":\"$PROCMAN_COLLECTOR_URL\"}" >"$PROCESS_OUTPUT_FILE"; test -n "$PROCESS_DEADLINE"`,
			want:   agentapi.Result{Output: "{\"id\":\"the-process\",\"type\":\"the-type\",\"attempt\":2,\"settings\":\"\"}\n"},
		},
		"collector unavailable for a while": {script: `echo {} >"$PROCESS_OUTPUT_FILE"`, fake: &fake{unavailable: 4}, want: agentapi.Result{Output: "{}\n"}},
		"refusal":                           {script: `echo '{"errorCode":"No"}' >"$PROCESS_ERROR_FILE"; exit 5`, exit: agentapi.ExitFinal, want: agentapi.Result{ErrorCode: "No"}},
		"crash":                             {script: `echo first >&2; echo last >&2; exit 5`, exit: 5, want: agentapi.Result{ErrorCode: "WorkerFailed", Retry: true}, in: `first\nlast`},
		"exit code of the agent's":          {script: `exit 113`, exit: 1, want: agentapi.Result{ErrorCode: "WorkerFailed", Retry: true}, in: `"exitCode":113`},
		"signal":                            {script: `kill -9 $$`, exit: 137, want: agentapi.Result{ErrorCode: "WorkerFailed", Retry: true}, in: "SIGKILL"},
		"signal, with last words": {
			script: `echo my last words >&2; kill -SEGV $$`, exit: 139,
			want: agentapi.Result{ErrorCode: "WorkerFailed", Retry: true}, in: `"signal":"SIGSEGV","stderr":"my last words"`,
		},
		"deadline": {
			script: `sleep 60`, fake: &fake{timeout: time.Second},
			exit: agentapi.ExitFinal, want: agentapi.Result{ErrorCode: "DeadlineExceeded"},
		},
		"deadline, deaf to SIGTERM": {
			script: `trap "" TERM; while :; do sleep 0.1; done`, fake: &fake{timeout: time.Second}, change: func(c *Config) { c.Grace = 300 * time.Millisecond },
			exit: agentapi.ExitFinal, want: agentapi.Result{ErrorCode: "DeadlineExceeded"},
		},
		"no such program": {
			change: func(c *Config) { c.Command = []string{"/no/such/program"} },
			exit:   agentapi.ExitFinal, want: agentapi.Result{ErrorCode: "WorkerFailed"}, in: "/no/such/program",
		},
		"a child left running": {
			script: `(sleep 60; echo late >&2) & echo {} >"$PROCESS_OUTPUT_FILE"`, want: agentapi.Result{Output: "{}\n"},
		},
		"deadline, deaf and out of its group": {
			script: `WORKER_UNDER_TEST=1 exec "$TEST_BINARY"`, fake: &fake{timeout: time.Second}, change: func(c *Config) { c.Grace = 300 * time.Millisecond },
			exit: agentapi.ExitFinal, want: agentapi.Result{ErrorCode: "DeadlineExceeded"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			started := time.Now()
			r := startAgent(t, cmp.Or(test.fake, &fake{}), test.script, test.change)
			if exit := r.end(t); exit != test.exit {
				t.Errorf("the agent exited with %d, want %d", exit, test.exit)
			}
			got := r.fake.result
			if got == nil {
				t.Fatal("no result was delivered")
			}
			if got.Output != test.want.Output || got.ErrorCode != test.want.ErrorCode || got.Retry != test.want.Retry || !strings.Contains(got.ErrorDetails, test.in) {
				t.Errorf("delivered %+v, want %+v with %s", got, test.want, test.in)
			}
			if got.Attempt != 2 || got.StartTime.Before(started.Add(-time.Second)) {
				t.Errorf("attempt %d at %s, want attempt 2 after %s", got.Attempt, got.StartTime, started)
			}
			receipt := r.receipt(t)
			if !receipt.Delivered || receipt.Output != got.Output || receipt.ErrorCode != got.ErrorCode {
				t.Errorf("the receipt is %+v, delivered was %+v", receipt, got)
			}
		})
	}
}

func TestSIGTERMReachesTheWorkerAndTheResultIsDelivered(t *testing.T) {
	t.Parallel()
	for _, stop := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT} {
		t.Run(stop.String(), func(t *testing.T) { testStop(t, stop) })
	}
}

func testStop(t *testing.T, stop syscall.Signal) {
	t.Parallel()
	ready := filepath.Join(t.TempDir(), "ready")
	r := startAgent(t, &fake{}, `trap 'echo "{\"told\":true}" >"$PROCESS_OUTPUT_FILE"; exit 0' TERM; touch `+ready+`; while :; do sleep 0.05; done`, nil)
	appears(t, ready)
	if err := r.cmd.Process.Signal(stop); err != nil {
		t.Fatal(err)
	}
	if exit := r.end(t); exit != 0 || r.fake.result == nil || r.fake.result.Output != "{\"told\":true}\n" {
		t.Errorf("exit %d, result %+v", exit, r.fake.result)
	}
}

func TestAWorkerThatIsNotNeededIsNotStarted(t *testing.T) {
	t.Parallel()
	for refusal, want := range map[error]int{agentapi.ErrOver: agentapi.ExitFinal, agentapi.ErrSuperseded: agentapi.ExitInterrupted} {
		mark := filepath.Join(t.TempDir(), "ran")
		r := startAgent(t, &fake{refusal: refusal}, "touch "+mark, nil)
		if exit := r.end(t); exit != want {
			t.Errorf("%v: exit %d, want %d", refusal, exit, want)
		}
		if _, err := os.Stat(mark); err == nil {
			t.Errorf("%v: the worker was run", refusal)
		}
	}
}

// A proxy, a service mesh or a Service without endpoints can answer with any status.
// None of them may end a process, or be taken for the confirmation of a result.
func TestResponsesOfSomethingElseAreIgnored(t *testing.T) {
	t.Parallel()
	for _, path := range []string{agentapi.InputPath, agentapi.ResultPath} {
		for _, status := range []int{200, 301, 400, 401, 404, 409, 410, 425, 503} {
			t.Run(fmt.Sprint(path, " ", status), func(t *testing.T) {
				t.Parallel()
				f, asked := &fake{}, 0
				f.onRequest = func(p string) {
					if p == path {
						if asked++; asked == 1 {
							f.foreign = []int{status}
						}
					}
				}
				r := startAgent(t, f, `echo {} >"$PROCESS_OUTPUT_FILE"`, nil)
				if exit := r.end(t); exit != 0 || f.result == nil || f.result.Output != "{}\n" {
					t.Errorf("exit %d, result %+v", exit, f.result)
				}
			})
		}
	}
}

// The exit code of an attempt that does not count must not end the Job of the one that
// does.
func TestASupersededResultEndsNothing(t *testing.T) {
	t.Parallel()
	script := `echo '{"errorCode":"No"}' >"$PROCESS_ERROR_FILE"`
	forever := func(c *Config) { c.Delivery = time.Hour } // none of these is worth another try
	for refusal, want := range map[error]int{
		agentapi.ErrBadRequest: agentapi.ExitFinal, agentapi.ErrOver: agentapi.ExitFinal, agentapi.ErrSuperseded: agentapi.ExitInterrupted,
	} {
		r := startAgent(t, &fake{refusal: refusal, refusalAt: agentapi.ResultPath}, script, forever)
		if exit := r.end(t); exit != want {
			t.Errorf("%v: exit %d, want %d", refusal, exit, want)
		}
		if receipt := r.receipt(t); receipt.ErrorCode != "No" || receipt.Delivered != errors.Is(refusal, agentapi.ErrOver) {
			t.Errorf("%v: the receipt is %+v", refusal, receipt)
		}
	}
}

func TestAWorkerThatCannotBeStartedLeavesWhy(t *testing.T) {
	t.Parallel()
	r := startAgent(t, &fake{}, "true", func(c *Config) { c.Dir = filepath.Join(c.Dir, "none") })
	exit, receipt := r.end(t), r.receipt(t)
	if exit != 1 || receipt.ErrorCode != "WorkerFailed" || !receipt.Retry || !strings.Contains(receipt.ErrorDetails, "was not started: its files") {
		t.Errorf("exit %d, receipt %+v", exit, receipt)
	}
}

func TestADeliveryWhoseReplyWasLostIsOne(t *testing.T) {
	t.Parallel()
	r := startAgent(t, &fake{loseReply: true}, `echo {} >"$PROCESS_OUTPUT_FILE"`, nil)
	if exit := r.end(t); exit != 0 || r.fake.result == nil || !r.receipt(t).Delivered {
		t.Errorf("exit %d, result %+v, receipt %+v", exit, r.fake.result, r.receipt(t))
	}
}

func TestProgressIsReported(t *testing.T) {
	t.Parallel()
	r := startAgent(t, &fake{}, `echo 30.7 >"$PROCESS_PROGRESS_FILE"; sleep 1.5; echo nonsense >"$PROCESS_PROGRESS_FILE"; sleep 1; echo {} >"$PROCESS_OUTPUT_FILE"`, nil)
	if exit := r.end(t); exit != 0 {
		t.Errorf("exit %d", exit)
	}
	if got := r.fake.progress; len(got) != 1 || got[0] != 30 {
		t.Errorf("progress reported: %v, want [30]", got)
	}
}

// The result has the last progress, which is often too new to have been reported.
func TestResultHasTheLastProgress(t *testing.T) {
	t.Parallel()
	for script, want := range map[string]*int32{
		`echo 100 >"$PROCESS_PROGRESS_FILE"; echo {} >"$PROCESS_OUTPUT_FILE"`: new(int32(100)),
		`echo 99.9 >"$PROCESS_PROGRESS_FILE"; exit 3`:                         new(int32(99)),
		`echo 101 >"$PROCESS_PROGRESS_FILE"; echo {} >"$PROCESS_OUTPUT_FILE"`: nil,
		`echo {} >"$PROCESS_OUTPUT_FILE"`:                                     nil,
	} {
		r := startAgent(t, &fake{}, script, nil)
		r.end(t)
		got, _ := json.Marshal(r.fake.result.PercentComplete)
		if expected, _ := json.Marshal(want); string(got) != string(expected) {
			t.Errorf("%s: the progress of the result is %s, want %s", script, got, expected)
		}
	}
}
