package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

func TestRunWritesWhatItIsTold(t *testing.T) {
	for name, test := range map[string]struct {
		input, output, errorFile string
		fails                    bool
	}{
		"the input, byte for byte":    {input: `{"b": 1.0, "a":12345678901234567890}`, output: `{"b": 1.0, "a":12345678901234567890}`},
		"an output of its own":        {input: `{"echo":{"output":{"x": 1.50}}}`, output: `{"x": 1.50}`},
		"a text that is no JSON":      {input: `{"echo":{"outputText":"{"}}`, output: `{`},
		"an output of a given size":   {input: `{"echo":{"outputBytes":20}}`, output: `{"filler":"xxxxxxx"}`},
		"no output":                   {input: `{"echo":{"noOutput":true}}`},
		"an error":                    {input: `{"echo":{"error":{"errorCode":"No"}}}`, errorFile: `{"errorCode":"No"}`},
		"a crash in an early attempt": {input: `{"echo":{"failAttempts":2}}`, fails: true},
		"no crash in a later one":     {input: `{"echo":{"failAttempts":1}}`, output: `{"echo":{"failAttempts":1}}`},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			file := func(name string) string { return filepath.Join(dir, name) }
			t.Setenv("PROCESS_INPUT_FILE", file("input"))
			t.Setenv("PROCESS_OUTPUT_FILE", file("output"))
			t.Setenv("PROCESS_ERROR_FILE", file("error"))
			t.Setenv("PROCESS_PROGRESS_FILE", file("progress"))
			t.Setenv("PROCESS_ATTEMPT", "2")
			if err := os.WriteFile(file("input"), []byte(test.input), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := run(); (err != nil) != test.fails {
				t.Fatalf("run: %v, want failure: %t", err, test.fails)
			}
			for name, want := range map[string]string{"output": test.output, "error": test.errorFile} {
				if got, _ := os.ReadFile(file(name)); string(got) != want {
					t.Errorf("%s file is %q, want %q", name, got, want)
				}
			}
		})
	}
}

func TestProgressIsReported(t *testing.T) {
	name := filepath.Join(t.TempDir(), "progress")
	t.Setenv("PROCESS_PROGRESS_FILE", name)
	s := script{Progress: []float64{10, 62.5}}
	if err := s.spend(); err != nil {
		t.Fatal(err)
	}
	var last float64
	if text, err := os.ReadFile(name); err != nil || json.Unmarshal(text, &last) != nil || last != 62.5 {
		t.Errorf("the last report is %q, %v, want 62.5", text, err)
	}
}
