package agent

import (
	"bytes"
	"context"
	"encoding/json"
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

// The agent waits for every child of its process, so each of these tests runs it
// in a process of its own: this test's binary, told so by an environment
// variable.
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

// fake is a collector that records what it is given.
type fake struct {
	mu          sync.Mutex
	refuse      int // how many requests are answered 503 first
	early       int // how many requests for the input are told to come again in a second
	notWanted   int // the status for who is not wanted, from the request for notWantedAt on
	notWantedAt string
	onRequest   func(path string) // called first
	loseReply   bool              // the first result is kept, and answered 503
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
	switch {
	case r.Header.Get("Authorization") != "Bearer secret":
		w.WriteHeader(http.StatusUnauthorized)
	case f.refuse > 0:
		f.refuse--
		w.WriteHeader(http.StatusServiceUnavailable)
	case f.notWanted != 0 && strings.HasPrefix(r.URL.Path, f.notWantedAt):
		w.WriteHeader(f.notWanted)
	case r.URL.Path == agentapi.InputPath && f.early > 0:
		f.early--
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(http.StatusTooEarly)
	case r.URL.Path == agentapi.InputPath:
		w.Header().Set(agentapi.HeaderAttempt, "2")
		_, _ = io.WriteString(w, `{"n": 1.0}`)
	case r.URL.Path == agentapi.ResultPath && f.result != nil:
		w.WriteHeader(http.StatusConflict)
	case r.URL.Path == agentapi.ResultPath:
		if f.loseReply {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		f.result = &agentapi.Result{}
		_ = json.Unmarshal(body, f.result)
	case r.URL.Path == agentapi.ProgressPath:
		var p agentapi.Progress
		_ = json.Unmarshal(body, &p)
		f.progress = append(f.progress, p.PercentComplete)
	}
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
		Timeout: 20 * time.Second, Grace: time.Second, OutputLimit: 1000, Command: []string{"/bin/sh", "-c", script},
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
		refuse int
		change func(*Config)
		exit   int
		want   agentapi.Result
		in     string // what the details hold
	}{
		"output": {script: `cat "$PROCESS_INPUT_FILE" >"$PROCESS_OUTPUT_FILE"`, want: agentapi.Result{Output: `{"n": 1.0}`}},
		"the environment": {
			script: `echo "{\"attempt\":$PROCESS_ATTEMPT,\"settings\":\"$PROCMAN_COLLECTOR_URL\"}" >"$PROCESS_OUTPUT_FILE"; test -n "$PROCESS_DEADLINE"`,
			want:   agentapi.Result{Output: "{\"attempt\":2,\"settings\":\"\"}\n"},
		},
		"collector away for a while": {script: `echo {} >"$PROCESS_OUTPUT_FILE"`, refuse: 4, want: agentapi.Result{Output: "{}\n"}},
		"refusal":                    {script: `echo '{"errorCode":"No"}' >"$PROCESS_ERROR_FILE"; exit 5`, exit: agentapi.ExitFinal, want: agentapi.Result{ErrorCode: "No"}},
		"crash":                      {script: `echo first >&2; echo last >&2; exit 5`, exit: 5, want: agentapi.Result{ErrorCode: "WorkerFailed", Retry: true}, in: `first\nlast`},
		"exit code of the agent's":   {script: `exit 113`, exit: 1, want: agentapi.Result{ErrorCode: "WorkerFailed", Retry: true}, in: `"exitCode":113`},
		"signal":                     {script: `kill -9 $$`, exit: 137, want: agentapi.Result{ErrorCode: "WorkerFailed", Retry: true}, in: "SIGKILL"},
		"signal, with last words": {
			script: `echo my last words >&2; kill -SEGV $$`, exit: 139,
			want: agentapi.Result{ErrorCode: "WorkerFailed", Retry: true}, in: `"signal":"SIGSEGV","stderr":"my last words"`,
		},
		"deadline": {
			script: `sleep 60`, change: func(c *Config) { c.Timeout = 300 * time.Millisecond },
			exit: agentapi.ExitFinal, want: agentapi.Result{ErrorCode: "DeadlineExceeded"},
		},
		"deadline, deaf to SIGTERM": {
			script: `trap "" TERM; while :; do sleep 0.1; done`, change: func(c *Config) { c.Timeout, c.Grace = 300*time.Millisecond, 300*time.Millisecond },
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
			script: `WORKER_UNDER_TEST=1 exec "$TEST_BINARY"`, change: func(c *Config) { c.Timeout, c.Grace = 300*time.Millisecond, 300*time.Millisecond },
			exit: agentapi.ExitFinal, want: agentapi.Result{ErrorCode: "DeadlineExceeded"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			started := time.Now()
			r := startAgent(t, &fake{refuse: test.refuse}, test.script, test.change)
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

func TestWhatIsNotWantedIsNotRun(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]int{http.StatusConflict: agentapi.ExitFinal, http.StatusGone: agentapi.ExitInterrupted} {
		mark := filepath.Join(t.TempDir(), "ran")
		r := startAgent(t, &fake{notWanted: status}, "touch "+mark, nil)
		if exit := r.end(t); exit != want {
			t.Errorf("%d: exit %d, want %d", status, exit, want)
		}
		if _, err := os.Stat(mark); err == nil {
			t.Errorf("%d: the worker was run", status)
		}
	}
}

// The exit code of an attempt that counts for nothing must not end the Job of the
// one that does.
func TestASupersededResultEndsNothing(t *testing.T) {
	t.Parallel()
	script := `echo '{"errorCode":"No"}' >"$PROCESS_ERROR_FILE"`
	forever := func(c *Config) { c.Delivery = time.Hour } // none of these is worth another try
	for status, want := range map[int]int{http.StatusBadRequest: agentapi.ExitFinal, http.StatusConflict: agentapi.ExitFinal, http.StatusGone: agentapi.ExitInterrupted} {
		r := startAgent(t, &fake{notWanted: status, notWantedAt: agentapi.ResultPath}, script, forever)
		if exit := r.end(t); exit != want {
			t.Errorf("%d: exit %d, want %d", status, exit, want)
		}
		if receipt := r.receipt(t); receipt.ErrorCode != "No" || receipt.Delivered != (status == http.StatusConflict) {
			t.Errorf("%d: the receipt is %+v", status, receipt)
		}
	}
}

func TestAWorkerThatCannotBeStartedLeavesWhy(t *testing.T) {
	t.Parallel()
	r := startAgent(t, &fake{}, "true", func(c *Config) { c.Dir = filepath.Join(c.Dir, "none") })
	exit, receipt := r.end(t), r.receipt(t)
	if exit != 1 || receipt.ErrorCode != "WorkerFailed" || !receipt.Retry || !strings.Contains(receipt.ErrorDetails, "not started: its files") {
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
