// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"procman.dev/procman/authorkit/manifest"
)

// worker sets the worker's environment, with the given input, for its second attempt.
// It returns a function that reads one of the worker's files; "" for a file that does
// not exist.
func worker(t *testing.T, input string) (read func(name string) string) {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"input", "output", "error", "progress"} {
		t.Setenv("PROCESS_"+strings.ToUpper(name)+"_FILE", filepath.Join(dir, name))
	}
	t.Setenv("PROCESS_ATTEMPT", "2")
	if err := os.WriteFile(filepath.Join(dir, "input"), []byte(input), 0o600); err != nil {
		t.Fatal(err)
	}
	return func(name string) string {
		content, _ := os.ReadFile(filepath.Join(dir, name))
		return string(content)
	}
}

func TestRun(t *testing.T) {
	type result struct {
		Output, Error, Progress string
		Code                    int
		Fails                   bool
	}
	for name, test := range map[string]struct {
		input string
		want  result
	}{
		"the input, byte for byte":        {`{"b": 1.0, "a":12345678901234567890}`, result{Output: `{"b": 1.0, "a":12345678901234567890}`}},
		"a member that is nearly echo":    {`{"Echo":{"noOutput":true},"ECHO":1}`, result{Output: `{"Echo":{"noOutput":true},"ECHO":1}`}},
		"an output of its own, as sent":   {`{"echo":{"output":{"x": 1.50, "a":1e2}}}`, result{Output: `{"x": 1.50, "a":1e2}`}},
		"an output that is null":          {`{"echo":{"output":null}}`, result{Output: `null`}},
		"a text that is not JSON":         {`{"echo":{"outputText":"{"}}`, result{Output: `{`}},
		"an output of a given size":       {`{"echo":{"outputBytes":20}}`, result{Output: `{"filler":"xxxxxxx"}`}},
		"the smallest output of a size":   {`{"echo":{"outputBytes":1}}`, result{Output: `{"filler":""}`}},
		"no output":                       {`{"echo":{"noOutput":true}}`, result{}},
		"an error, as sent":               {`{"echo":{"error":{"errorCode":"No", "errorDetails":{"n":1.0}}}}`, result{Error: `{"errorCode":"No", "errorDetails":{"n":1.0}}`}},
		"an error and an exit code":       {`{"echo":{"error":{"errorCode":"No"},"exitCode":3}}`, result{Error: `{"errorCode":"No"}`, Code: 3}},
		"an output and an exit code":      {`{"echo":{"output":{},"exitCode":113}}`, result{Output: `{}`, Code: 113}},
		"progress, the last one":          {`{"echo":{"progress":[10,62.5],"output":{}}}`, result{Output: `{}`, Progress: `62.5`}},
		"a crash in an early attempt":     {`{"echo":{"failAttempts":2}}`, result{Fails: true}},
		"no crash in a later one":         {`{"echo":{"failAttempts":1,"output":{}}}`, result{Output: `{}`}},
		"a script of another type fails":  {`{"echo":{"seconds":"5"}}`, result{Fails: true}},
		"an unknown signal fails":         {`{"echo":{"signal":"USR9"}}`, result{Fails: true}},
		"an input that is not JSON fails": {`{`, result{Fails: true}},
		"memory is allocated":             {`{"echo":{"memoryMiB":1,"output":{}}}`, result{Output: `{}`}},
	} {
		t.Run(name, func(t *testing.T) {
			read := worker(t, test.input)
			code, err := run()
			got := result{Output: read("output"), Error: read("error"), Progress: read("progress"), Code: code, Fails: err != nil}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("%s (%v)", diff, err)
			}
		})
	}
}

// asWorker is a variable that makes the test binary run as the worker.
const asWorker = "ECHO_TEST_AS_WORKER"

func TestMain(m *testing.M) {
	if os.Getenv(asWorker) != "" {
		main()
	}
	os.Exit(m.Run())
}

func TestHowTheWorkerEnds(t *testing.T) {
	ends := map[string]string{
		`{"exitCode":7}`:     "exit status 7",
		`{"failAttempts":9}`: "exit status 1",
		`{}`:                 "exit status 0",

		`{"childMemoryMiB":1}`: "exit status 0",
	}
	for name, number := range signals {
		ends[fmt.Sprintf(`{"signal":%q,"ignoreTerm":true}`, name)] = "signal: " + number.String()
	}
	for script, want := range ends {
		t.Run(script, func(t *testing.T) {
			read := worker(t, `{"echo":`+script+`}`)
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), asWorker+"=1")
			cmd.Dir = t.TempDir() // a core dump goes here
			stderr := new(strings.Builder)
			cmd.Stderr = stderr
			_ = cmd.Run()
			if got := strings.TrimSuffix(cmd.ProcessState.String(), " (core dumped)"); got != want {
				t.Errorf("the worker ends with %s, want %s", got, want)
			}
			if status := cmd.ProcessState.Sys().(syscall.WaitStatus); status.Exited() && status.ExitStatus() != 0 && stderr.Len() == 0 {
				t.Error("the worker fails without an error message")
			}
			if status := cmd.ProcessState.Sys().(syscall.WaitStatus); status.Signaled() && read("output") != "" {
				t.Error("the worker wrote an output before the signal")
			}
		})
	}
}

func TestScratchFileIsInTmp(t *testing.T) {
	read := worker(t, `{"echo":{"scratchMiB":2}}`)
	t.Setenv("TMPDIR", filepath.Dir(os.Getenv("PROCESS_OUTPUT_FILE")))
	if _, err := run(); err != nil || len(read("scratch")) != 2<<20 {
		t.Errorf("the file has %d bytes, error %v", len(read("scratch")), err)
	}
}

// TestScriptMatchesTheSchema: the inputSchema has exactly the members and signals
// that the worker knows.
func TestScriptMatchesTheSchema(t *testing.T) {
	processType, err := manifest.Load("processtype.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var schema struct {
		Properties struct {
			Echo struct {
				Properties map[string]struct{ Enum []string }
			}
		}
	}
	if err := json.Unmarshal(processType.Spec.InputSchema.Raw, &schema); err != nil {
		t.Fatal(err)
	}
	var described []string
	for name := range schema.Properties.Echo.Properties {
		described = append(described, name)
	}
	slices.Sort(described)
	if diff := cmp.Diff(scriptMembers(), described); diff != "" {
		t.Errorf("members of echo: %s", diff)
	}
	var names []string
	for name := range signals {
		names = append(names, name)
	}
	slices.Sort(names)
	if diff := cmp.Diff(names, schema.Properties.Echo.Properties["signal"].Enum); diff != "" {
		t.Errorf("signals: %s", diff)
	}
}

// scriptMembers returns the JSON names of the script's fields, sorted.
func scriptMembers() []string {
	var names []string
	for field := range reflect.TypeFor[script]().Fields() {
		names = append(names, field.Tag.Get("json"))
	}
	slices.Sort(names)
	return names
}
