// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"procman.dev/procman/api/v1alpha1"
)

// largest is an input of 8 MiB, which a decoder would change.
func largest() string {
	const around = `{"n": 1.0,  "text":""}`
	return `{"n": 1.0,  "text":"` + strings.Repeat("x", 8<<20-len(around)) + `"}`
}

// objectsOf returns the objects of a process that are on the disk of the store.
func objectsOf(t *testing.T, id string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(filepath.Dir(os.Getenv("KUBECONFIG")), "volumes", "*", "objects", "procman", "processes", workNamespace, id, "*"))
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// TestLargestPayloads: an input and an output of 8 MiB go through the facade, the store, the
// operator and the agent, byte for byte, and leave the store a few minutes after their
// process.
func TestLargestPayloads(t *testing.T) {
	t.Parallel()
	registerEcho(t, "largest", func(s *v1alpha1.ProcessTypeSpec) {
		s.Limits.InputBytes, s.Limits.OutputBytes, s.InputSchema, s.OutputSchema = 8<<20, 8<<20, nil, nil
	})
	input := largest()
	id := post(t, "largest", input)
	a := awaitComplete(t, "largest", id)
	if string(a.Input) != input || string(a.Output) != input {
		t.Errorf("the input has %d bytes, the output %d, want %d", len(a.Input), len(a.Output), len(input))
	}
	if p := getProcess(t, id); p.Spec.Input != "" || p.Status.Output != "" || p.Status.StoredOutput.IsZero() {
		t.Errorf("the Process contains %d and %d bytes", len(p.Spec.Input), len(p.Status.Output))
	}
	get := exec.CommandContext(t.Context(), filepath.Join(buildProcman(t), "procman"), "get", id, "--output")
	get.Env = append(os.Environ(), "PATH="+kubectlDirectory(t)+string(os.PathListSeparator)+os.Getenv("PATH"))
	if got, err := get.Output(); err != nil || string(got) != input+"\n" {
		t.Errorf("procman get prints %d bytes, %v", len(got), err)
	}
	if found := objectsOf(t, id); len(found) != 2 {
		t.Errorf("the store has %v", found)
	}
	if a := do(t, http.MethodPost, "/v1/processes/largest", []byte(`{"input":`+input+` }`)); a.status != http.StatusOK {
		t.Errorf("the same again: status %d", a.status)
	}
	if a := do(t, http.MethodPost, "/v1/processes/largest", []byte(`{"input":`+strings.Replace(input, "x", "xx", 1)+`}`)); a.status != http.StatusRequestEntityTooLarge {
		t.Errorf("one byte more: status %d", a.status)
	}
	if err := kube.Delete(t.Context(), &v1alpha1.Process{ObjectMeta: named(id)}); err != nil {
		t.Fatal(err)
	}
	eventually(t, 8*time.Minute, "the store has no payload of a deleted process", func() bool { return len(objectsOf(t, id)) == 0 })
}

// scaleStore sets the number of replicas of the store, and waits until it is as wanted.
func scaleStore(t *testing.T, replicas int32) {
	t.Helper()
	store := &appsv1.StatefulSet{ObjectMeta: named("procman-store")}
	store.Namespace = systemNamespace
	patch := client.RawPatch("application/merge-patch+json", []byte(map[int32]string{0: `{"spec":{"replicas":0}}`, 1: `{"spec":{"replicas":1}}`}[replicas]))
	if err := kube.Patch(t.Context(), store, patch); err != nil {
		t.Fatal(err)
	}
	eventually(t, 2*time.Minute, "the store has the replicas", func() bool {
		return len(podsOf(t, "procman-store")) == int(replicas) && len(readyPods(t, "procman-store")) == int(replicas)
	})
}

// TestStoreIsAway is not parallel, because other tests need the store. Without it, small
// processes work, and nothing that was accepted is lost.
func TestStoreIsAway(t *testing.T) {
	large := `{"filler":"` + strings.Repeat("x", 100<<10) + `"}`
	before := post(t, "echo", large)
	want := awaitComplete(t, "echo", before)
	delivering := post(t, "echo", `{"echo":{"seconds":5,"outputBytes":100000}}`)
	awaitRunningPod(t, delivering)
	waiting := post(t, "echo", strings.Replace(large, "{", `{"echo":{"seconds":1},`, 1))
	scaleStore(t, 0)
	defer scaleStore(t, 1) // a Cleanup would be too late for the context of the test

	for name, a := range map[string]response{
		"POST": do(t, http.MethodPost, "/v1/processes/echo", []byte(`{"input":`+large+`}`)),
		"GET":  get(t, "echo", before),
	} {
		if a.status != 580 || a.ErrorCode != "InternalError" || a.header.Get("Retry-After") == "" {
			t.Errorf("%s: status %d, Retry-After %q: %.200s", name, a.status, a.header.Get("Retry-After"), a.body)
		}
	}
	awaitComplete(t, "echo", post(t, "echo", `{"small":true}`))
	eventually(t, time.Minute, "/readyz shows it", func() bool {
		a := do(t, http.MethodGet, "/readyz", nil)
		return a.status == http.StatusOK && strings.Contains(string(a.body), `"store":"unreachable"`)
	})
	scaleStore(t, 1)
	eventually(t, time.Minute, "a large payload can be read again", func() bool { return get(t, "echo", before).status == http.StatusOK })
	if after := get(t, "echo", before); string(after.body) != string(want.body) {
		t.Errorf("after the restart: %.200s", after.body)
	}
	for id, bytes := range map[string]int{delivering: 100_000, waiting: len(large) + len(`"echo":{"seconds":1},`)} {
		if a := awaitComplete(t, "echo", id); len(a.Output) != bytes {
			t.Errorf("process %s has an output of %d bytes, want %d", id, len(a.Output), bytes)
		}
	}
}

// TestStoreIsKilled: what was acknowledged is there after the store, the operator and the
// facade were killed while they were at work. It is not parallel for the same reason.
func TestStoreIsKilled(t *testing.T) {
	inputs := map[string]string{}
	for range 5 {
		input := `{"echo":{"seconds":2},"filler":"` + strings.Repeat("x", 200<<10+len(inputs)) + `"}`
		inputs[post(t, "echo", input)] = input
	}
	for _, name := range []string{"procman-store", "procman-operator", "procman-apiserver"} {
		defer killPods(t, name)()
	}
	awaitReachableFacade(t)
	for _, id := range slices.Sorted(maps.Keys(inputs)) {
		eventually(t, 3*time.Minute, "process "+id+" is complete", func() bool {
			a := get(t, "echo", id)
			if a.status == http.StatusOK && a.State == "error" {
				t.Fatalf("process %s: %s %s", id, a.ErrorCode, a.ErrorDetails)
			}
			return a.status == http.StatusOK && a.State == "complete" && string(a.Output) == inputs[id] && string(a.Input) == inputs[id]
		})
	}
}
