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

// playedNode is a Node without a kubelet: the test says what it says of itself
// and of its pods. What the control plane makes of that is real.
type playedNode struct {
	*corev1.Node
}

// playNode adds a node for a type's processes. They prefer it, or run nowhere
// else; nothing else runs there.
func playNode(t *testing.T, processType string, only bool) playedNode {
	t.Helper()
	name := "played-" + processType
	node := playedNode{&corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{
			"played": name,
			// Where most nodes of a zone are away, Kubernetes takes its time.
			corev1.LabelTopologyZone: name,
		}},
		Spec: corev1.NodeSpec{Taints: []corev1.Taint{{Key: "played", Value: name, Effect: corev1.TaintEffectNoSchedule}}},
	}}
	give(t, node.Node)
	capacity := corev1.ResourceList{
		corev1.ResourceCPU: resource.MustParse("64"), corev1.ResourceMemory: resource.MustParse("64Gi"), corev1.ResourcePods: resource.MustParse("100"),
	}
	patchStatus(t, node.Node, map[string]any{"capacity": capacity, "allocatable": capacity})
	node.say(t, corev1.ConditionTrue)

	term := fmt.Sprintf(`{"matchExpressions": [{"key": "played", "operator": "In", "values": [%q]}]}`, name)
	affinity := `{"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 100, "preference": ` + term + `}]}}`
	if only {
		affinity = `{"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [` + term + `]}}}`
	}
	shapeJobs(t, processType, map[string]string{
		"affinity":      affinity,
		"tolerations/-": fmt.Sprintf(`{"key": "played", "operator": "Equal", "value": %q, "effect": "NoSchedule"}`, name),
	})
	eventually(t, time.Minute, "pods are let onto node "+name, func() bool {
		if err := kube.Get(t.Context(), client.ObjectKeyFromObject(node.Node), node.Node); err != nil {
			t.Fatal(err)
		}
		return len(node.Spec.Taints) == 1
	})
	return node
}

// say has the node say whether it is ready: true, false, or, as the control plane
// says of one that it does not hear of, unknown.
func (n playedNode) say(t *testing.T, ready corev1.ConditionStatus) {
	t.Helper()
	now := metav1.Now()
	patchStatus(t, n.Node, map[string]any{"conditions": []corev1.NodeCondition{{
		Type: corev1.NodeReady, Status: ready, Reason: "Played", LastHeartbeatTime: now, LastTransitionTime: now,
	}}})
}

// runs waits for a process's pod on the node and has it run.
func (n playedNode) runs(t *testing.T, id string) *corev1.Pod {
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

// ends has a pod of the node's end with a receipt.
func (n playedNode) ends(t *testing.T, pod *corev1.Pod, r agentapi.Receipt) {
	t.Helper()
	now := metav1.Now()
	patchStatus(t, pod, corev1.PodStatus{
		Phase: corev1.PodFailed,
		ContainerStatuses: []corev1.ContainerStatus{{Name: "worker", Image: "any", State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
			ExitCode: 1, StartedAt: now, FinishedAt: now, Message: string(r.Encode()),
		}}}},
	})
}

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

// onPlayedNode starts a process of a new type on a new node of its own.
func onPlayedNode(t *testing.T, processType string, attempts int32, only bool, input string) (playedNode, string, *corev1.Pod) {
	t.Helper()
	registerEcho(t, processType, func(s *v1alpha1.ProcessTypeSpec) { s.Attempts, s.StartTimeoutSeconds = attempts, 40 })
	node := playNode(t, processType, only)
	id := post(t, processType, input)
	pod := node.runs(t, id)
	t.Cleanup(func() { // no kubelet does
		patch := client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"finalizers":null}}`))
		_ = kube.Patch(context.Background(), pod, patch)
		_ = kube.Delete(context.Background(), pod, client.GracePeriodSeconds(0))
	})
	return node, id, pod
}

// lossBound is 30 s on a node that is not reachable, 30 s of grace, and 30 s more
// of silence.
const lossBound = 90 * time.Second

func TestNodeIsLost(t *testing.T) {
	t.Parallel()
	t.Run("in the only attempt", func(t *testing.T) {
		t.Parallel()
		node, id, _ := onPlayedNode(t, "lost-once", 1, false, `{}`)
		node.say(t, corev1.ConditionUnknown)
		a := finish(t, "lost-once", id, lossBound+slowness)
		if a.ErrorCode != "NodeLost" || !strings.Contains(string(a.ErrorDetails), node.Name) {
			t.Errorf("the process is %s: %s %s", a.State, a.ErrorCode, a.ErrorDetails)
		}
	})
	t.Run("another attempt is made elsewhere", func(t *testing.T) {
		t.Parallel()
		node, id, lost := onPlayedNode(t, "lost-twice", 2, false, `{"echo":{"seconds":20,"output":{"a":1}}}`)
		node.say(t, corev1.ConditionUnknown)
		eventually(t, lossBound+30*time.Second+slowness, "the second attempt runs", func() bool {
			return slices.ContainsFunc(workerPods(t, id), func(p corev1.Pod) bool {
				return p.UID != lost.UID && p.Status.Phase == corev1.PodRunning
			})
		})
		// It comes back, and with it what it did: too late.
		node.say(t, corev1.ConditionTrue)
		node.ends(t, lost, agentapi.Receipt{Result: agentapi.Result{Attempt: 1, Output: `{"late":true}`}})
		if a := get(t, "lost-twice", id); a.State != "processing" {
			t.Fatalf("the second attempt ended before the late result came: %s", a.body)
		}
		if a := finish(t, "lost-twice", id, 30*time.Second+slowness); a.State != "complete" || string(a.Output) != `{"a":1}` {
			t.Errorf("the process is %s: %s %s %s", a.State, a.Output, a.ErrorCode, a.ErrorDetails)
		}
	})
	t.Run("and there is no other node", func(t *testing.T) {
		t.Parallel()
		node, id, _ := onPlayedNode(t, "lost-alone", 2, true, `{}`)
		node.say(t, corev1.ConditionUnknown)
		a := finish(t, "lost-alone", id, lossBound+10*time.Second+40*time.Second+slowness)
		if a.ErrorCode != "Unschedulable" {
			t.Errorf("the process is %s: %s %s", a.State, a.ErrorCode, a.ErrorDetails)
		}
	})
}

func TestNodeIsGone(t *testing.T) {
	t.Parallel()
	node, id, _ := onPlayedNode(t, "lost-gone", 2, false, `{}`)
	if err := kube.Delete(t.Context(), node.Node); err != nil {
		t.Fatal(err)
	}
	// Kubernetes' garbage collector looks every 20 s, and again after 40 s.
	if a := finish(t, "lost-gone", id, 90*time.Second+slowness); a.State != "complete" {
		t.Errorf("the process is %s: %s %s", a.State, a.ErrorCode, a.ErrorDetails)
	}
}

func TestNodeComesBackWithTheResult(t *testing.T) {
	t.Parallel()
	node, id, pod := onPlayedNode(t, "lost-back", 2, false, `{}`)
	node.say(t, corev1.ConditionUnknown)
	eventually(t, 30*time.Second+slowness, "the pod is told to go", func() bool {
		pods := workerPods(t, id)
		return len(pods) == 1 && pods[0].DeletionTimestamp != nil
	})
	node.say(t, corev1.ConditionTrue)
	node.ends(t, pod, agentapi.Receipt{Result: agentapi.Result{Attempt: 1, Output: `{"late":"and good"}`}})
	if a := complete(t, "lost-back", id); string(a.Output) != `{"late":"and good"}` {
		t.Errorf("the output is %s", a.Output)
	}
	if attempts := process(t, id).Status.Attempts; attempts == nil || *attempts != 1 {
		t.Errorf("attempts are %v, want 1", attempts)
	}
}
