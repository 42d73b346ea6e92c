// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"flag"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"procman.dev/procman/apiserver"
)

func TestParse(t *testing.T) {
	t.Setenv("POD_NAMESPACE", "system")
	parsed := func(args ...string) (apiserver.Config, error) {
		flags := flag.NewFlagSet("apiserver", flag.ContinueOnError)
		flags.SetOutput(io.Discard)
		return parse(flags, args)
	}
	got, err := parsed("--store=file:///objects", "--drain-seconds=7", "--v4-sunset=2030-01-02T03:04:05Z", "--max-waiters=9", "--cors-origins=https://a.example,https://b.example")
	if err != nil {
		t.Fatal(err)
	}
	want := apiserver.Config{
		Options: apiserver.Options{
			Namespace: "procman", MaxWaiters: 9, Limit: apiserver.Limit{Burst: 100},
			Sunset: time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC), Origins: []string{"https://a.example", "https://b.example"},
		},
		KeyNamespace: "system", Store: "file:///objects", BindAddress: ":8080", HealthBindAddress: ":8081", Drain: 7 * time.Second, MaxConnections: 8000,
	}
	want.Limits.Etcd, want.Limits.Store, want.Limits.Waiting = 1<<30, 16<<30, 10_000
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(apiserver.Options{}, "Log")); diff != "" {
		t.Errorf("config (-want +got):\n%s", diff)
	}
	for _, arg := range []string{
		"--store=", "--max-etcd-bytes=-1", "--max-store-bytes=-1", "--max-waiting=-1", "--key-secret-namespace=", "--drain-seconds=-1", "--max-connections=-1", "--max-waiters=0",
		"--client-requests-per-second=-1", "--client-burst=0", "--v4-sunset=tomorrow", "--cors-origins=example.com", "--no-such-flag",
	} {
		name, _, _ := strings.Cut(strings.TrimPrefix(arg, "--"), "=")
		if _, err := parsed("--store=file:///objects", arg); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: the error is %v, want one that names the flag", arg, err)
		}
	}
}
