package authorkit

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"procman.dev/procman/authorkit/scaffold"
)

// What each template's README says to do next works, but for what needs docker
// and a cluster.
func TestTemplatesAreWorkers(t *testing.T) {
	t.Parallel()
	environ := withProcman(t)
	for _, template := range scaffold.Templates() {
		t.Run(template, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "word")
			if text := call("worker", "init", "word", "--template", template, "--dir", dir); !strings.HasSuffix(text, "-- exit status 0\n") {
				t.Fatal(text)
			}
			commands := kitCommands(t, filepath.Join(dir, "README.md"))
			for _, command := range commands {
				c := exec.Command("sh", "-euc", command)
				c.Dir = dir
				c.Env = append(environ, "GOWORK=off", "GOFLAGS=-mod=mod")
				text, err := c.CombinedOutput()
				if err != nil {
					t.Errorf("%s: %v\n%s", command, err, text)
				}
				if strings.Contains(command, "worker check") && strings.Contains(string(text), "WARN") {
					t.Errorf("a template is to pass without warnings:\n%s", text)
				}
			}
			if len(commands) < 2 {
				t.Errorf("README.md has %d commands to try, expected run and check", len(commands))
			}
		})
	}
}

// kitCommands are the README's commands up to the first that needs docker.
func kitCommands(t *testing.T, file string) []string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	before, _, _ := strings.Cut(string(text), "## On a cluster")
	var commands []string
	for _, m := range regexp.MustCompile(`(?m)^    (\S.*)$`).FindAllStringSubmatch(before, -1) {
		commands = append(commands, m[1])
	}
	return commands
}

// withProcman is an environment in which this test is procman.
func withProcman(t *testing.T) []string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	bin := t.TempDir()
	if err := os.Symlink(self, filepath.Join(bin, "procman")); err != nil {
		t.Fatal(err)
	}
	return append(os.Environ(), "PROCMAN_UNDER_TEST=1", "PATH="+bin+":"+os.Getenv("PATH"))
}
