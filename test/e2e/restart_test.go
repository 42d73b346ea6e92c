// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

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

// killPods kills all pods of a Deployment at the same time and without grace, like a
// crash of all replicas. The function that it returns waits until new pods are ready.
func killPods(t *testing.T, name string) (replaced func()) {
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

// podsOf lists the pods of a Deployment.
func podsOf(t *testing.T, name string) []corev1.Pod {
	t.Helper()
	var pods corev1.PodList
	if err := kube.List(t.Context(), &pods, client.InNamespace(systemNamespace), client.MatchingLabels{"app.kubernetes.io/name": name}); err != nil {
		t.Fatal(err)
	}
	return pods.Items
}

// awaitReachableFacade waits until the facade accepts every connection. The rules of a
// Service are updated a moment after its pods.
func awaitReachableFacade(t *testing.T) {
	t.Helper()
	inARow := 0
	eventually(t, time.Minute, "the facade accepts twenty connections in a row", func() bool {
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

// These tests kill programs that all other tests need, so they are not parallel.

func TestResultSurvivesTheOperator(t *testing.T) {
	id := post(t, "echo", `{"echo":{"seconds":4},"kept":[1.0]}`)
	eventually(t, time.Minute, "the worker runs", func() bool {
		pods := workerPods(t, id)
		return len(pods) == 1 && pods[0].Status.Phase == corev1.PodRunning
	})
	replaced := killPods(t, "procman-operator")
	waiting := post(t, "echo", `{"posted":"while there was no operator"}`)
	if a := awaitComplete(t, "echo", id); string(a.Output) != string(a.Input) {
		t.Errorf("the output is %s", a.Output)
	}
	if attempts := getProcess(t, id).Status.Attempts; attempts == nil || *attempts != 1 {
		t.Errorf("attempts are %v, want 1", attempts)
	}
	awaitComplete(t, "echo", waiting)
	replaced()
}

func TestAnswersSurviveTheFacade(t *testing.T) {
	done := post(t, "echo", `{"done":true}`)
	before := awaitComplete(t, "echo", done)
	running := post(t, "echo", `{"echo":{"seconds":3}}`)
	killPods(t, "procman-apiserver")()
	awaitReachableFacade(t)
	if after := get(t, "echo", done); string(after.body) != string(before.body) {
		t.Errorf("GET returns\n%s\nbefore the restart it returned\n%s", after.body, before.body)
	}
	awaitComplete(t, "echo", running)
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
