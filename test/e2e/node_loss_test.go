// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"procman.dev/procman/api/v1alpha1"
	"procman.dev/procman/internal/agentapi"
)

// fakeNode is a Node without a kubelet. The test writes its status and the status of its
// pods. The control plane that reacts to them is real.
type fakeNode struct {
	*corev1.Node
}

// addFakeNode adds a node for the processes of one type only. They prefer this node, or,
// if only is set, can run on no other.
func addFakeNode(t *testing.T, processType string, only bool) fakeNode {
	t.Helper()
	name := "fake-" + processType
	node := fakeNode{&corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{
			"fake-node":          name,
			corev1.LabelOSStable: "linux", // a kubelet sets it, and all workers select it
			// Kubernetes evicts more slowly if most nodes of a zone do not answer.
			corev1.LabelTopologyZone: name,
		}},
		Spec: corev1.NodeSpec{Taints: []corev1.Taint{{Key: "fake-node", Value: name, Effect: corev1.TaintEffectNoSchedule}}},
	}}
	createForTest(t, node.Node)
	capacity := corev1.ResourceList{
		corev1.ResourceCPU: resource.MustParse("64"), corev1.ResourceMemory: resource.MustParse("64Gi"), corev1.ResourcePods: resource.MustParse("100"),
	}
	patchStatus(t, node.Node, map[string]any{"capacity": capacity, "allocatable": capacity})
	node.setReady(t, corev1.ConditionTrue)

	term := fmt.Sprintf(`{"matchExpressions": [{"key": "fake-node", "operator": "In", "values": [%q]}]}`, name)
	affinity := `{"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 100, "preference": ` + term + `}]}}`
	if only {
		affinity = `{"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [` + term + `]}}}`
	}
	mutateJobs(t, processType, map[string]string{
		"affinity":      affinity,
		"tolerations/-": fmt.Sprintf(`{"key": "fake-node", "operator": "Equal", "value": %q, "effect": "NoSchedule"}`, name),
	})
	eventually(t, time.Minute, "node "+name+" has lost the taint of a node that is not ready", func() bool {
		if err := kube.Get(t.Context(), client.ObjectKeyFromObject(node.Node), node.Node); err != nil {
			t.Fatal(err)
		}
		return len(node.Spec.Taints) == 1
	})
	return node
}

// setReady sets the node's condition Ready. The control plane itself sets it to Unknown
// if a node does not answer.
func (n fakeNode) setReady(t *testing.T, ready corev1.ConditionStatus) {
	t.Helper()
	now := metav1.Now()
	patchStatus(t, n.Node, map[string]any{"conditions": []corev1.NodeCondition{{
		Type: corev1.NodeReady, Status: ready, Reason: "Fake", LastHeartbeatTime: now, LastTransitionTime: now,
	}}})
}

// runPod waits until the node has the pod of a process and sets it to Running.
func (n fakeNode) runPod(t *testing.T, id string) *corev1.Pod {
	t.Helper()
	var pod corev1.Pod
	eventually(t, time.Minute, "the process has a pod on node "+n.Name, func() bool {
		pods := workerPods(t, id)
		if len(pods) == 1 {
			pod = pods[0]
		}
		return pod.Spec.NodeName == n.Name
	})
	now := metav1.Now()
	patchStatus(t, &pod, corev1.PodStatus{
		Phase: corev1.PodRunning, StartTime: &now,
		ContainerStatuses: []corev1.ContainerStatus{{Name: "worker", Image: "any", State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: now}}}},
	})
	return &pod
}

// failPod sets a pod of the node to Failed, with a receipt.
func (n fakeNode) failPod(t *testing.T, pod *corev1.Pod, r agentapi.Receipt) {
	t.Helper()
	now := metav1.Now()
	patchStatus(t, pod, corev1.PodStatus{
		Phase: corev1.PodFailed,
		ContainerStatuses: []corev1.ContainerStatus{{Name: "worker", Image: "any", State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
			ExitCode: 1, StartedAt: now, FinishedAt: now, Message: string(r.Encode()),
		}}}},
	})
}

// patchStatus patches the status of an object.
func patchStatus(t *testing.T, object client.Object, status any) {
	t.Helper()
	patch, err := json.Marshal(map[string]any{"status": status})
	if err != nil {
		t.Fatal(err)
	}
	if err := kube.Status().Patch(t.Context(), object, client.RawPatch("application/strategic-merge-patch+json", patch)); err != nil {
		t.Fatal(err)
	}
}

// startOnFakeNode starts a process of a new type on a new fake node.
func startOnFakeNode(t *testing.T, processType string, attempts int32, only bool, input string) (fakeNode, string, *corev1.Pod) {
	t.Helper()
	registerEcho(t, processType, func(s *v1alpha1.ProcessTypeSpec) { s.Attempts, s.StartTimeoutSeconds = attempts, 40 })
	node := addFakeNode(t, processType, only)
	id := post(t, processType, input)
	pod := node.runPod(t, id)
	t.Cleanup(func() { // there is no kubelet to delete the pod
		patch := client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"finalizers":null}}`))
		_ = kube.Patch(context.Background(), pod, patch)
		_ = kube.Delete(context.Background(), pod, client.GracePeriodSeconds(0))
	})
	return node, id, pod
}

// lossBound is the time after which a pod is abandoned: 30 s on an unreachable node,
// 30 s of grace, and 30 s more without an answer.
const lossBound = 90 * time.Second

func TestNodeIsLost(t *testing.T) {
	t.Parallel()
	t.Run("during the only attempt", func(t *testing.T) {
		t.Parallel()
		node, id, _ := startOnFakeNode(t, "lost-once", 1, false, `{}`)
		node.setReady(t, corev1.ConditionUnknown)
		a := awaitTerminal(t, "lost-once", id, lossBound+slowMargin)
		if a.ErrorCode != "NodeLost" || !strings.Contains(string(a.ErrorDetails), node.Name) {
			t.Errorf("the process is %s: %s %s", a.State, a.ErrorCode, a.ErrorDetails)
		}
	})
	t.Run("another attempt runs on another node", func(t *testing.T) {
		t.Parallel()
		node, id, lost := startOnFakeNode(t, "lost-twice", 2, false, `{"echo":{"seconds":20,"output":{"a":1}}}`)
		node.setReady(t, corev1.ConditionUnknown)
		eventually(t, lossBound+30*time.Second+slowMargin, "the second attempt runs", func() bool {
			return slices.ContainsFunc(workerPods(t, id), func(p corev1.Pod) bool {
				return p.UID != lost.UID && p.Status.Phase == corev1.PodRunning
			})
		})
		// The node answers again and delivers its result, too late.
		node.setReady(t, corev1.ConditionTrue)
		node.failPod(t, lost, agentapi.Receipt{Result: agentapi.Result{Attempt: 1, Output: `{"late":true}`}})
		if a := get(t, "lost-twice", id); a.State != "processing" {
			t.Fatalf("the second attempt ended before the late result was delivered: %s", a.body)
		}
		if a := awaitTerminal(t, "lost-twice", id, 30*time.Second+slowMargin); a.State != "complete" || string(a.Output) != `{"a":1}` {
			t.Errorf("the process is %s: %s %s %s", a.State, a.Output, a.ErrorCode, a.ErrorDetails)
		}
	})
	t.Run("no other node fits", func(t *testing.T) {
		t.Parallel()
		node, id, _ := startOnFakeNode(t, "lost-alone", 2, true, `{}`)
		node.setReady(t, corev1.ConditionUnknown)
		a := awaitTerminal(t, "lost-alone", id, lossBound+10*time.Second+40*time.Second+slowMargin)
		if a.ErrorCode != "Unschedulable" {
			t.Errorf("the process is %s: %s %s", a.State, a.ErrorCode, a.ErrorDetails)
		}
	})
}

func TestNodeIsDeleted(t *testing.T) {
	t.Parallel()
	node, id, _ := startOnFakeNode(t, "lost-gone", 2, false, `{}`)
	if err := kube.Delete(t.Context(), node.Node); err != nil {
		t.Fatal(err)
	}
	// Kubernetes' garbage collector looks every 20 s, and checks again after 40 s.
	if a := awaitTerminal(t, "lost-gone", id, 90*time.Second+slowMargin); a.State != "complete" {
		t.Errorf("the process is %s: %s %s", a.State, a.ErrorCode, a.ErrorDetails)
	}
}

func TestNodeRecoversWithTheResult(t *testing.T) {
	t.Parallel()
	node, id, pod := startOnFakeNode(t, "lost-back", 2, false, `{}`)
	node.setReady(t, corev1.ConditionUnknown)
	eventually(t, 30*time.Second+slowMargin, "the pod is being deleted", func() bool {
		pods := workerPods(t, id)
		return len(pods) == 1 && pods[0].DeletionTimestamp != nil
	})
	node.setReady(t, corev1.ConditionTrue)
	node.failPod(t, pod, agentapi.Receipt{Result: agentapi.Result{Attempt: 1, Output: `{"late":"but valid"}`}})
	if a := awaitComplete(t, "lost-back", id); string(a.Output) != `{"late":"but valid"}` {
		t.Errorf("the output is %s", a.Output)
	}
	if attempts := getProcess(t, id).Status.Attempts; attempts == nil || *attempts != 1 {
		t.Errorf("attempts are %v, want 1", attempts)
	}
}
