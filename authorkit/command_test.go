// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package authorkit

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"procman.dev/procman/authorkit/localrun"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// The test binary also runs as the agent, which localrun starts, and as procman, if
// a test needs that program.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == localrun.AgentCommand || os.Getenv("PROCMAN_UNDER_TEST") != "" {
		os.Exit(Main(os.Args[1:], os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

// variable lists what differs from run to run, and its replacement in golden files.
var variable = []struct {
	pattern     *regexp.Regexp
	replacement string
}{
	{regexp.MustCompile(`local-[a-z0-9]{26}`), "local-id"},
	{regexp.MustCompile(`\d\d\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d\d\dZ`), "TIME"},
	{regexp.MustCompile(`\b\d+\.\ds\b`), "N.Ns"},
	{regexp.MustCompile(`  children     [^:\n]+:`), "  children     THE LONGEST:"},
	// The agent reports progress once a second. Most workers here end earlier.
	{regexp.MustCompile(`"percentComplete":\d+,`), ""},
	{regexp.MustCompile(`(?m)^attempt \d of \d: \d+%\n`), ""},
}

var aboutSIGTERM = regexp.MustCompile(`(?m)^.*  sigterm  .*\n|^\d+ passed,.*\n`)

// call runs the command line and returns its output and its exit status.
func call(args ...string) string {
	var stdout, stderr bytes.Buffer
	code := Main(args, &stdout, &stderr)
	text := fmt.Sprintf("$ procman %s\n%s", strings.Join(args, " "), stdout.String())
	if stderr.Len() > 0 {
		text += "-- standard error:\n" + stderr.String()
	}
	text += fmt.Sprintf("-- exit status %d\n", code)
	for _, v := range variable {
		text = v.pattern.ReplaceAllString(text, v.replacement)
	}
	return text
}

// golden compares text with a golden file.
func golden(t *testing.T, name, text string) {
	t.Helper()
	file := filepath.Join("testdata", "golden", name+".txt")
	if *update {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), text); diff != "" {
		t.Errorf("%s; go test ./authorkit -update rewrites it\n%s", file, diff)
	}
}

func TestRun(t *testing.T) {
	t.Parallel()
	for name, args := range map[string]string{
		"good":              "-f testdata/processtype.yaml --input testdata/in.json",
		"good-json":         "-f testdata/processtype.yaml --input testdata/in.json --json",
		"deaf":              "-f testdata/processtype.yaml --input testdata/in.json -- sh testdata/deaf.sh",
		"invalid":           "-f testdata/processtype.yaml --input testdata/in.json -- sh testdata/invalid.sh",
		"refuses":           "-f testdata/processtype.yaml --input testdata/in.json -- sh testdata/refuses.sh",
		"crashes":           "-f testdata/processtype.yaml --input testdata/in.json -- sh testdata/crashes.sh",
		"crashes-too-often": "-f testdata/processtype.yaml --input testdata/in.json --attempts 2 -- sh testdata/crashes.sh",
		"large":             "-f testdata/processtype.yaml --input testdata/in.json -- sh testdata/large.sh",
		"wrong-input":       "-f testdata/processtype.yaml --input testdata/wrong.json",
		"broken-input":      "-f testdata/processtype.yaml --input testdata/broken.json",
		"no-input":          "-f testdata/processtype.yaml",
		"no-type":           "--input testdata/in.json",
		"no-such-file":      "-f testdata/processtype.yaml --input testdata/none.json",
		"no-command":        "-f testdata/no-command.yaml --input testdata/in.json",
		"no-such-command":   "-f testdata/processtype.yaml --input testdata/in.json -- no-such-program",
		"unknown-field":     "-f testdata/unknown-field.yaml --input testdata/in.json",
		"unknown-flag":      "--nonsense",
		"half-a-second":     "-f testdata/processtype.yaml --input testdata/in.json --grace 1500ms",
		"endless-input":     "-f testdata/processtype.yaml --input /dev/zero",
		"before-the-dash":   "-f testdata/processtype.yaml --input testdata/in.json sh -- testdata/good.sh",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			golden(t, "run-"+name, call(append([]string{"worker", "run"}, strings.Fields(args)...)...))
		})
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	for name, args := range map[string]string{
		"good":            "-f testdata/processtype.yaml",
		"good-json":       "-f testdata/processtype.yaml --output json",
		"deaf":            "-f testdata/processtype.yaml --grace 1s -- sh testdata/deaf.sh",
		"invalid":         "-f testdata/processtype.yaml -- sh testdata/invalid.sh",
		"refuses":         "-f testdata/processtype.yaml --refuse testdata/in.json -- sh testdata/refuses.sh",
		"crashes":         "-f testdata/processtype.yaml -- sh testdata/crashes.sh",
		"litters":         "-f testdata/processtype.yaml -- sh testdata/litters.sh",
		"wanders":         "-f testdata/processtype.yaml -- sh testdata/wanders.sh",
		"large":           "-f testdata/processtype.yaml --refuse testdata/in.json -- sh testdata/large.sh",
		"integers":        "-f testdata/processtype.yaml --input testdata/times.json -- sh testdata/integers.sh",
		"wrong-input":     "-f testdata/processtype.yaml --no-run --input testdata/wrong.json",
		"unknown-field":   "-f testdata/unknown-field.yaml",
		"bad-schema":      "-f testdata/bad-schema.yaml",
		"short-life":      "-f testdata/short-life.yaml",
		"no-command":      "-f testdata/no-command.yaml",
		"no-such-command": "-f testdata/processtype.yaml -- no-such-program",
		"no-such-file":    "-f testdata/none.yaml",
		"no-such-format":  "-f testdata/processtype.yaml --output xml",
		"half-a-second":   "-f testdata/processtype.yaml --grace 1500ms",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text := call(append([]string{"worker", "check"}, strings.Fields(args)...)...)
			if !strings.HasPrefix(name, "good") && name != "deaf" {
				// A short worker may end before it gets SIGTERM.
				text = aboutSIGTERM.ReplaceAllString(text, "")
			}
			golden(t, "check-"+name, text)
		})
	}
}

// The types of this repository pass all checks that do not need their images.
func TestCheckOfShippedTypes(t *testing.T) {
	t.Parallel()
	types, err := filepath.Glob("../workers/*/processtype.yaml")
	if err != nil || len(types) == 0 {
		t.Fatalf("no types found: %v", err)
	}
	for _, file := range types {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			if text := call("worker", "check", "-f", file, "--no-run"); !strings.HasSuffix(text, "-- exit status 0\n") {
				t.Error(text)
			}
		})
	}
}
