// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"flag"
	"io"
	"os"
	"strings"
	"testing"
)

func TestFlagsAreValidated(t *testing.T) {
	const required = "--store=file:///objects --agent-image=agent:1 --collector-url=http://collector "
	for name, test := range map[string]struct {
		args string
		want []string // in the error
	}{
		"nothing":                {"", []string{"--agent-image is not set", "--collector-url is not set", "--store is not set"}},
		"an unknown flag":        {required + "--colour=red", []string{"flag provided but not defined: -colour"}},
		"an unknown injection":   {required + "--agent-injection=Magic", []string{`--agent-injection is "Magic", expected Auto, Embedded, ImageVolume or InitContainer`}},
		"no grace":               {required + "--grace-seconds=0", []string{"--grace-seconds is 0, expected a positive number"}},
		"a grace above an int32": {required + "--grace-seconds=3000000000", []string{`invalid value "3000000000" for flag -grace-seconds`}},
		"no time to deliver":     {required + "--delivery-seconds=-1", []string{"--delivery-seconds is -1, expected a positive number"}},
		"a negative time":        {required + "--keep-complete-jobs=-1s --keep-failed-jobs=-1s", []string{"--keep-complete-jobs is -1s, expected 0 or more", "--keep-failed-jobs is -1s"}},
		"Jobs are kept":          {required + "--keep-complete-jobs=0 --keep-failed-jobs=0", []string{"find cluster"}},
		"a negative window":      {required + "--max-starting=-1", []string{"--max-starting is -1, expected 0 or more"}},
		"no concurrency":         {required + "--concurrency=0", []string{"--concurrency is 0, expected a positive number"}},
		"an unknown level":       {required + "--pod-security=lax", []string{`--pod-security: level "lax" is unknown, expected restricted, baseline or privileged`}},
		// With valid flags the next step is to look for a cluster.
		"defaults are valid": {required, []string{"find cluster"}},
	} {
		t.Run(name, func(t *testing.T) {
			flags := flag.NewFlagSet("operator", flag.ContinueOnError)
			flags.SetOutput(io.Discard)
			t.Setenv("KUBECONFIG", "/does/not/exist")
			err := run(t.Context(), flags, strings.Fields(test.args))
			if err == nil {
				t.Fatal("the operator ran")
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the error is %q, want %q in it", err, want)
				}
			}
		})
	}
}

// docs/installing.md describes every flag, with its default.
func TestEveryFlagIsDocumented(t *testing.T) {
	page, err := os.ReadFile("../../docs/installing.md")
	if err != nil {
		t.Fatal(err)
	}
	flags := flag.NewFlagSet("operator", flag.ContinueOnError)
	(&options{}).addFlags(flags)
	flags.VisitAll(func(f *flag.Flag) {
		if !strings.HasPrefix(f.Name, "zap-") && !strings.Contains(string(page), "| `--"+f.Name+"` |") {
			t.Errorf("docs/installing.md has no row for --%s", f.Name)
		}
	})
}
