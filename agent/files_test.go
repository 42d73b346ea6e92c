// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"procman.dev/procman/internal/agentapi"
)

func TestWhatAWorkerLeaves(t *testing.T) {
	t.Parallel()
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte(`{"secret":true}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		script string
		code   string // "" is complete
		in     []string
	}{
		"output at the limit":           {`printf '{"a":"%0992d"}' 0 >"$PROCESS_OUTPUT_FILE"`, "", nil},
		"output over the limit":         {`printf '{"a":"%0993d"}' 0 >"$PROCESS_OUTPUT_FILE"`, "OutputTooLarge", []string{`"bytes":1001`, `"maxBytes":1000`, `"in":"output"`}},
		"over the limit, and a crash":   {`head -c 2000 /dev/zero >"$PROCESS_OUTPUT_FILE"; exit 3`, "OutputTooLarge", []string{`"bytes":2000`}},
		"over the limit, not a byte of": {`truncate -s 10G "$PROCESS_OUTPUT_FILE"; sleep 60`, "OutputTooLarge", []string{`"bytes":10737418240`}},
		"output without an end":         {`while :; do head -c 10000 /dev/zero; sleep 0.01; done >"$PROCESS_OUTPUT_FILE"`, "OutputTooLarge", []string{`"maxBytes":1000`}},
		"and deaf to SIGTERM":           {`trap "" TERM; while :; do head -c 10000 /dev/zero; sleep 0.01; done >"$PROCESS_OUTPUT_FILE"`, "OutputTooLarge", nil},
		"and by a child of its own":     {`(while :; do head -c 10000 /dev/zero; sleep 0.01; done >"$PROCESS_OUTPUT_FILE") & sleep 60`, "OutputTooLarge", nil},
		"error file without an end":     {`while :; do head -c 10000 /dev/zero; sleep 0.01; done >"$PROCESS_ERROR_FILE"`, "OutputInvalid", []string{`"in":"error"`, `"maxBytes":65536`}},
		"its own word before the size":  {`echo '{"errorCode":"No"}' >"$PROCESS_ERROR_FILE"; head -c 2000 /dev/zero >"$PROCESS_OUTPUT_FILE"`, "No", nil},
		"output renamed into place":     {`echo '{}' >"$PROCESS_OUTPUT_FILE.tmp"; mv "$PROCESS_OUTPUT_FILE.tmp" "$PROCESS_OUTPUT_FILE"`, "", nil},
		"output empty":                  {`: >"$PROCESS_OUTPUT_FILE"`, "OutputInvalid", []string{`"at":"output"`, "is empty"}},
		"output a link":                 {`ln -s "$SECRET" "$PROCESS_OUTPUT_FILE"`, "OutputInvalid", []string{"symbolic link"}},
		"output a link to nothing":      {`ln -s /no/such/file "$PROCESS_OUTPUT_FILE"`, "OutputInvalid", []string{"symbolic link"}},
		"output a pipe":                 {`mkfifo "$PROCESS_OUTPUT_FILE"`, "OutputInvalid", []string{"not a regular file"}},
		"output a directory":            {`mkdir "$PROCESS_OUTPUT_FILE"`, "OutputInvalid", []string{"not a regular file"}},
		"error file a link":             {`echo '{}' >"$PROCESS_OUTPUT_FILE"; ln -s "$SECRET" "$PROCESS_ERROR_FILE"`, "OutputInvalid", []string{"symbolic link", `"in":"error"`}},
		"progress a pipe":               {`mkfifo "$PROCESS_PROGRESS_FILE"; sleep 1.3; echo '{}' >"$PROCESS_OUTPUT_FILE"`, "", nil},
		"input removed":                 {`rm "$PROCESS_INPUT_FILE"; echo '{}' >"$PROCESS_OUTPUT_FILE"`, "", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := startAgent(t, &fake{}, "SECRET="+secret+"; "+test.script, nil)
			exit := r.end(t)
			got := r.fake.result
			if got == nil {
				t.Fatal("no result was delivered")
			}
			if got.ErrorCode != test.code || got.Complete() != (test.code == "") || got.Retry {
				t.Errorf("delivered %.300v, want code %q, final", *got, test.code)
			}
			if want := map[bool]int{true: 0, false: agentapi.ExitFinal}[test.code == ""]; exit != want {
				t.Errorf("exit %d, want %d", exit, want)
			}
			for _, want := range test.in {
				if !strings.Contains(got.ErrorDetails, want) {
					t.Errorf("errorDetails are %s, want %s in them", got.ErrorDetails, want)
				}
			}
			if text := got.Output + got.ErrorDetails; strings.Contains(text, "secret\":true") {
				t.Errorf("a link was followed: %s", text)
			}
		})
	}
}

func TestOutputIsStoppedWhileItIsWritten(t *testing.T) {
	t.Parallel()
	r := startAgent(t, &fake{timeout: time.Hour}, `while :; do head -c 100000 /dev/zero; sleep 0.01; done >"$PROCESS_OUTPUT_FILE"`, nil)
	r.end(t)
	var details struct{ Bytes int64 }
	if err := json.Unmarshal([]byte(r.fake.result.ErrorDetails), &details); err != nil {
		t.Fatal(err)
	}
	// Ten seconds' worth; the worker had an hour.
	if details.Bytes > 100_000_000 {
		t.Errorf("it was stopped at %d bytes", details.Bytes)
	}
}

func TestTheWorkersFilesAndEnvironment(t *testing.T) {
	t.Parallel()
	for name, environ := range map[string][]string{
		"as it is":                 nil,
		"with names that are ours": {"PROCESS_OUTPUT_FILE=/elsewhere", "PROCESS_ATTEMPT=77", "PROCESS_DEADLINE=never", "PROCESS_ID=other"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := Config{Dir: "/process", Environ: append([]string{"PATH=/bin"}, environ...)}
			got := (&exec.Cmd{Env: c.WorkerEnviron(&agentapi.Input{ProcessID: "p", ProcessType: "t", Attempt: 2}, time.Date(2026, 1, 1, 13, 0, 0, 5, time.FixedZone("", 3600)))}).Environ()
			want := []string{
				"PATH=/bin", "PROCESS_ID=p", "PROCESS_TYPE=t", "PROCESS_ATTEMPT=2", "PROCESS_DEADLINE=2026-01-01T12:00:00Z",
				"PROCESS_INPUT_FILE=/process/input.json", "PROCESS_OUTPUT_FILE=/process/output.json",
				"PROCESS_ERROR_FILE=/process/error.json", "PROCESS_PROGRESS_FILE=/process/progress",
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}
