//go:build e2e

package e2e

import (
	"net/http"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// killAll kills every pod of a Deployment at once, without warning, as a crash of
// all replicas would. The function it returns waits until other pods are ready in
// their place.
func killAll(t *testing.T, name string) (replaced func()) {
	t.Helper()
	killed := map[types.UID]bool{}
	for _, pod := range podsOf(t, name) {
		killed[pod.UID] = true
	}
	err := kube.DeleteAllOf(t.Context(), &corev1.Pod{}, client.InNamespace(systemNamespace),
		client.MatchingLabels{"app.kubernetes.io/name": name}, client.GracePeriodSeconds(0))
	if err != nil {
		t.Fatal(err)
	}
	return func() {
		t.Helper()
		eventually(t, 2*time.Minute, name+" has new pods that are ready", func() bool {
			ready := 0
			for _, pod := range readyPods(t, name) {
				if !killed[pod.UID] {
					ready++
				}
			}
			return ready == len(killed)
		})
	}
}

func podsOf(t *testing.T, name string) []corev1.Pod {
	t.Helper()
	var pods corev1.PodList
	if err := kube.List(t.Context(), &pods, client.InNamespace(systemNamespace), client.MatchingLabels{"app.kubernetes.io/name": name}); err != nil {
		t.Fatal(err)
	}
	return pods.Items
}

// reached waits until every connection to the facade is taken: a Service's rules
// follow its pods by a moment.
func reached(t *testing.T) {
	t.Helper()
	inARow := 0
	eventually(t, time.Minute, "the facade is reached twenty times in a row", func() bool {
		client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		response, err := client.Get(baseURL + "/v1/processes/echo/none")
		if err != nil {
			inARow = 0
			return false
		}
		_ = response.Body.Close()
		inARow++
		return inARow == 20
	})
}

// These tests disturb what all others use, so they do not run beside them.

func TestOperatorIsKilledWhileAWorkerRuns(t *testing.T) {
	id := post(t, "echo", `{"echo":{"seconds":4},"kept":[1.0]}`)
	eventually(t, time.Minute, "the worker runs", func() bool {
		pods := workerPods(t, id)
		return len(pods) == 1 && pods[0].Status.Phase == corev1.PodRunning
	})
	replaced := killAll(t, "procman-operator")
	waiting := post(t, "echo", `{"posted":"while there was no operator"}`)
	if a := complete(t, "echo", id); string(a.Output) != string(a.Input) {
		t.Errorf("the output is %s", a.Output)
	}
	if attempts := process(t, id).Status.Attempts; attempts == nil || *attempts != 1 {
		t.Errorf("attempts are %v, want 1", attempts)
	}
	complete(t, "echo", waiting)
	replaced()
}

func TestFacadeIsKilledAndForgetsNothing(t *testing.T) {
	done := post(t, "echo", `{"done":true}`)
	before := complete(t, "echo", done)
	running := post(t, "echo", `{"echo":{"seconds":3}}`)
	killAll(t, "procman-apiserver")()
	reached(t)
	if after := get(t, "echo", done); string(after.body) != string(before.body) {
		t.Errorf("GET says\n%s\nbefore it said\n%s", after.body, before.body)
	}
	complete(t, "echo", running)
	last := "a"
	if strings.HasSuffix(done, last) {
		last = "b"
	}
	for _, id := range []string{"abc", done[:len(done)-1] + last} {
		if a := get(t, "echo", id); a.status != 404 {
			t.Errorf("GET %s: status %d: %s", id, a.status, a.body)
		}
	}
}
