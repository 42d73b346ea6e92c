// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/transport/spdy"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"procman.dev/procman/api/v1alpha1"
	"procman.dev/procman/test/contract"
)

// TestContract runs the contract suite against the installed facade: through the
// Service, and against each of three replicas.
func TestContract(t *testing.T) {
	registerContractTypes(t)
	deployment := &appsv1.Deployment{}
	key := client.ObjectKey{Namespace: systemNamespace, Name: "procman-apiserver"}
	scale := func(replicas int32) {
		if err := kube.Get(context.Background(), key, deployment); err != nil {
			t.Fatal(err)
		}
		patch := client.MergeFrom(deployment.DeepCopy())
		deployment.Spec.Replicas = &replicas
		if err := kube.Patch(context.Background(), deployment, patch); err != nil {
			t.Fatal(err)
		}
	}
	scale(3)
	t.Cleanup(func() { scale(2) })
	var replicas []string
	eventually(t, 2*time.Minute, "three replicas of the facade are ready", func() bool {
		return len(readyPods(t, "procman-apiserver")) == 3
	})
	for _, pod := range readyPods(t, "procman-apiserver") {
		replicas = append(replicas, forwardPort(t, pod, 8080))
	}
	contract.Run(t, contract.Target{URL: baseURL, Replicas: replicas})
}

// registerContractTypes registers the suite's types for this test.
func registerContractTypes(t *testing.T) {
	t.Helper()
	file, err := os.ReadFile("../contract/processtypes.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(file), 4096); ; {
		var pt v1alpha1.ProcessType
		err := decoder.Decode(&pt)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		createForTest(t, &pt)
		awaitKnown(t, pt.Name)
	}
}

// readyPods lists the pods of a Deployment that are ready and are not being deleted.
func readyPods(t *testing.T, name string) []corev1.Pod {
	t.Helper()
	var ready []corev1.Pod
	for _, pod := range podsOf(t, name) {
		for _, c := range pod.Status.Conditions {
			if c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue && pod.DeletionTimestamp == nil {
				ready = append(ready, pod)
			}
		}
	}
	return ready
}

// forwardPort forwards a local port to a port of a pod until the test ends, and
// returns its base URL.
func forwardPort(t *testing.T, pod corev1.Pod, port int) string {
	t.Helper()
	clientset, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	url := clientset.CoreV1().RESTClient().Post().Resource("pods").Namespace(pod.Namespace).Name(pod.Name).SubResource("portforward").URL()
	transport, upgrader, err := spdy.RoundTripperFor(config)
	if err != nil {
		t.Fatal(err)
	}
	stop, ready := make(chan struct{}), make(chan struct{})
	dialer := spdy.NewDialer(upgrader, &http.Client{Transport: transport}, http.MethodPost, url)
	forwarder, err := portforward.NewOnAddresses(dialer, []string{"127.0.0.1"}, []string{fmt.Sprintf("0:%d", port)}, stop, ready, io.Discard, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- forwarder.ForwardPorts() }()
	t.Cleanup(func() {
		close(stop)
		if err := <-ended; err != nil {
			t.Errorf("forward to %s: %v", pod.Name, err)
		}
	})
	select {
	case <-ready:
	case err := <-ended:
		t.Fatalf("forward to %s: %v", pod.Name, err)
	}
	ports, err := forwarder.GetPorts()
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("http://127.0.0.1:%d", ports[0].Local)
}
