// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

// Package clients tests that generators of clients read /openapi.json as it is, that
// what they generate compiles, and that it knows a process's output by its state. The
// generators are pinned in npm/package-lock.json and go/go.mod.
package clients

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/yaml"

	"procman.dev/procman/api/v1alpha1"
	"procman.dev/procman/apiserver"
	"procman.dev/procman/apiserver/catalog"
	"procman.dev/procman/test/docs"
)

// workspace contains the npm packages and what the generators write. It is in a
// directory that git ignores, so that the packages are installed only once.
const workspace = "../../out/clients"

// processTypes returns the types of this repository, and the type order, whose schemas
// pydantic printed.
func processTypes(t *testing.T) []*v1alpha1.ProcessType {
	t.Helper()
	var all []*v1alpha1.ProcessType
	for _, worker := range []string{"echo", "ocr", "pdftext"} {
		pt := &v1alpha1.ProcessType{}
		if err := yaml.UnmarshalStrict(read(t, "../../workers/"+worker+"/processtype.yaml"), pt); err != nil {
			t.Fatal(err)
		}
		all = append(all, pt)
	}
	order := &v1alpha1.ProcessType{}
	order.Name = "order"
	order.Spec.InputSchema = &apiextensionsv1.JSON{Raw: read(t, "testdata/pydantic.json")}
	order.Spec.OutputSchema = order.Spec.InputSchema
	return append(all, order)
}

// document returns the path of a file with /openapi.json.
func document(t *testing.T) string {
	t.Helper()
	types := catalog.New(apiserver.Contract)
	for _, pt := range processTypes(t) {
		types.OnAdd(pt, false)
	}
	d, err := types.OpenAPI("")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "openapi.json")
	write(t, file, d.Body)
	return file
}

func read(t *testing.T, file string) []byte {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func write(t *testing.T, file string, text []byte) {
	t.Helper()
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// run runs a program in a directory and returns its standard output.
func run(t *testing.T, dir, program string, args ...string) []byte {
	t.Helper()
	c := exec.CommandContext(t.Context(), program, args...)
	c.Dir, c.WaitDelay = dir, 10*time.Second
	var stderr strings.Builder
	c.Stderr = &stderr
	out, err := c.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s%s", c, err, out, &stderr)
	}
	return out
}

// npm copies the directory npm to the workspace and installs its packages, unless they
// are there.
func npm(t *testing.T) {
	t.Helper()
	if err := os.MkdirAll(workspace, 0o755); err != nil {
		t.Fatal(err)
	}
	run(t, ".", "cp", "-r", "npm/.", workspace)
	stamp, lock := filepath.Join(workspace, "installed"), read(t, "npm/package-lock.json")
	if before, err := os.ReadFile(stamp); err == nil && bytes.Equal(before, lock) {
		return
	}
	run(t, workspace, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	write(t, stamp, lock)
}

// TestLint checks that linters find no errors in the document.
func TestLint(t *testing.T) {
	npm(t)
	file := document(t)
	for name, args := range map[string][]string{
		"redocly":  {"lint.mjs", file},
		"spectral": {"node_modules/.bin/spectral", "lint", "--fail-severity", "error", file},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			t.Logf("%s", run(t, workspace, "node", args...))
		})
	}
}

// TestTypeScript checks that narrow.ts compiles with what openapi-typescript generates.
func TestTypeScript(t *testing.T) {
	npm(t)
	run(t, workspace, "node", "node_modules/.bin/openapi-typescript", document(t), "--output", "openapi.d.ts")
	run(t, workspace, "node", "node_modules/.bin/tsc", "--project", ".")
}

// TestPython checks that what quicktype generates reads a process.
func TestPython(t *testing.T) {
	npm(t)
	dir := t.TempDir()
	schemas := []string{"Process", "EchoComplete", "OcrSubmission", "OcrComplete", "PdftextComplete", "OrderSubmission", "OrderComplete"}
	write(t, filepath.Join(dir, "procman.py"), run(t, workspace, "node", append([]string{"python.mjs", document(t)}, schemas...)...))
	write(t, filepath.Join(dir, "use.py"), read(t, "testdata/use.py"))
	run(t, dir, "python3", "use.py")
}

// TestGo checks that the tests in the directory go compile, and pass, with what the
// generators of Go generate.
func TestGo(t *testing.T) {
	file := document(t)
	module, err := filepath.Abs("go")
	if err != nil {
		t.Fatal(err)
	}
	for name, command := range map[string]func(dir string) []string{
		"oapi": func(dir string) []string {
			return []string{"oapi-codegen", "-package", "oapi", "-generate", "types,client", "-o", filepath.Join(dir, "oapi.gen.go"), file}
		},
		"ogen": func(dir string) []string { return []string{"ogen", "-package", "ogen", "-target", dir, file} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			generated := t.TempDir()
			run(t, module, "go", append([]string{"tool"}, command(generated)...)...)
			// The generated files take part in the build as if they were in the module.
			overlay := struct{ Replace map[string]string }{map[string]string{}}
			files, err := filepath.Glob(filepath.Join(generated, "*.go"))
			if err != nil || len(files) == 0 {
				t.Fatalf("the generated files are %v, %v", files, err)
			}
			for _, file := range files {
				overlay.Replace[filepath.Join(module, name, filepath.Base(file))] = file
			}
			text, err := json.Marshal(overlay)
			if err != nil {
				t.Fatal(err)
			}
			write(t, filepath.Join(generated, "overlay.json"), text)
			run(t, module, "go", "test", "-overlay", filepath.Join(generated, "overlay.json"), "./"+name)
		})
	}
}

// TestEarlyResponse checks that the Python client of docs/clients.md reads the response
// of a server that does not read the whole body, and does not send the body again.
func TestEarlyResponse(t *testing.T) {
	files, err := docs.Files("../../docs/clients.md")
	if err != nil {
		t.Fatal(err)
	}
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var requests atomic.Int32
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			requests.Add(1)
			if _, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
				_, _ = io.WriteString(conn, "HTTP/1.1 413 Too Large\r\nContent-Length: 29\r\n\r\n"+`{"errorCode":"InputTooLarge"}`)
			}
			_ = conn.Close() // with a part of the body unread, so that the client gets a reset
		}
	}()
	t.Cleanup(func() { _ = listener.Close() })
	dir := t.TempDir()
	write(t, filepath.Join(dir, "client.py"), []byte(files["client.py"]))
	client := exec.CommandContext(t.Context(), "python3", "client.py", "echo")
	client.Dir, client.Stdin = dir, strings.NewReader(`{"a":"`+strings.Repeat("a", 7_000_000)+`"}`)
	client.Env = append(os.Environ(), "PROCMAN_URL=http://"+listener.Addr().String())
	out, err := client.CombinedOutput()
	if err == nil || string(out) != "413 InputTooLarge {}\n" || requests.Load() != 1 {
		t.Errorf("the client sent %d requests and printed %q (%v), want one request and 413", requests.Load(), out, err)
	}
}
