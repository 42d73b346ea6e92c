// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package authorkit

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// fakeKubectl puts a kubectl into the PATH that knows one process, and returns the file with
// its arguments.
func fakeKubectl(t *testing.T, body string) (calls string) {
	t.Helper()
	dir := t.TempDir()
	calls = filepath.Join(dir, "calls")
	script := "#!/bin/sh\necho \"$*\" >>" + calls + `
case "$*" in
"get process id "*) printf echo ;;
"get --raw "*) cat "$(dirname "$0")/body" ;;
*) echo "Error from server (NotFound): processes.procman.dev \"$3\" not found" >&2; exit 1 ;;
esac
`
	for name, text := range map[string]string{"kubectl": script, "body": body} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	return calls
}

func TestGet(t *testing.T) {
	const complete = `{"processId":"id","state":"complete","input":{"n": 1.0},"output":{"m":  2.0}}`
	const path = "get --raw /api/v1/namespaces/procman-system/services/procman-apiserver:http/proxy/v1/processes/echo/id?include="
	for name, test := range map[string]struct {
		args               string
		body               string
		status             int
		stdout, stderr, in string
	}{
		"all":          {"get id", complete, 0, complete + "\n", "", path + "input,output"},
		"input":        {"get id --input", complete, 0, `{"n": 1.0}` + "\n", "", path + "input"},
		"output":       {"get id --output", complete, 0, `{"m":  2.0}` + "\n", "", path + "output"},
		"no output":    {"get id --output", `{"processId":"id","state":"processing"}`, 2, "", "it has no output, its state is processing", path + "output"},
		"no process":   {"get other", complete, 2, "", `kubectl: Error from server (NotFound): processes.procman.dev "other" not found`, "get process other --namespace procman"},
		"a namespace":  {"get other -n work", complete, 2, "", "not found", "--namespace work"},
		"both":         {"get id --input --output", complete, 2, "", "[input output]", ""},
		"another name": {"get id --facade a/b", complete, 0, complete + "\n", "", "/namespaces/a/services/b:http/"},
		"no namespace": {"get id --facade b", complete, 2, "", `--facade is "b", expected NAMESPACE/SERVICE`, ""},
		"no id":        {"get", complete, 2, "", "accepts 1 arg", ""},
	} {
		t.Run(name, func(t *testing.T) {
			calls := fakeKubectl(t, test.body)
			var stdout, stderr strings.Builder
			status := Main(strings.Fields(test.args), &stdout, &stderr)
			if status != test.status || stdout.String() != test.stdout || !strings.Contains(stderr.String(), test.stderr) || test.stderr == "" && stderr.Len() > 0 {
				t.Errorf("status %d, stdout %q, stderr %q", status, stdout.String(), stderr.String())
			}
			called, err := os.ReadFile(calls)
			if test.in != "" && !strings.Contains(string(called), test.in) {
				t.Errorf("kubectl was called with %q, %v, want %q", called, err, test.in)
			}
		})
	}
}
