// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

// Package e2e is the end-to-end suite: it uses the installed product on a real
// cluster, as its users do. It needs KUBECONFIG; make e2e sets it.
package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"procman.dev/procman/api/v1alpha1"
)

const (
	workNamespace   = "procman"
	systemNamespace = "procman-system"
)

var (
	// kube is a client with an administrator's rights.
	kube client.Client
	// config is the configuration of kube.
	config *rest.Config
	// baseURL is the URL of the facade.
	baseURL string
)

func TestMain(m *testing.M) {
	if err := connect(); err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func connect() error {
	path := os.Getenv("KUBECONFIG")
	if path == "" {
		return fmt.Errorf("KUBECONFIG is not set; make e2e sets it")
	}
	var err error
	config, err = clientcmd.BuildConfigFromFlags("", path)
	if err != nil {
		return err
	}
	scheme := runtime.NewScheme()
	if err := clientgoscheme.AddToScheme(scheme); err != nil {
		return err
	}
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		return err
	}
	if kube, err = client.New(config, client.Options{Scheme: scheme}); err != nil {
		return err
	}
	var nodes corev1.NodeList
	if err := kube.List(context.Background(), &nodes); err != nil {
		return err
	}
	service := &corev1.Service{}
	if err := kube.Get(context.Background(), client.ObjectKey{Namespace: systemNamespace, Name: "procman-apiserver"}, service); err != nil {
		return err
	}
	for _, address := range nodes.Items[0].Status.Addresses {
		if address.Type == corev1.NodeInternalIP {
			baseURL = fmt.Sprintf("http://%s:%d", address.Address, service.Spec.Ports[0].NodePort)
		}
	}
	return nil
}

// response is a complete response of the facade.
type response struct {
	status int
	header http.Header
	body   []byte
	processJSON
}

// processJSON is a process as the facade returns it.
type processJSON struct {
	ProcessID          string          `json:"processId"`
	State              string          `json:"state"`
	ExpirationDateTime string          `json:"expirationDateTime"`
	Input              json.RawMessage `json:"input"`
	Output             json.RawMessage `json:"output"`
	ErrorCode          string          `json:"errorCode"`
	ErrorDetails       json.RawMessage `json:"errorDetails"`
	QueuePosition      int             `json:"queuePosition"`
	PercentComplete    *int            `json:"percentComplete"`
}

// do sends a request and checks what is true for every response: it is a JSON
// object, and it has an errorCode if it is an error.
func do(t *testing.T, method, path string, body []byte) response {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, baseURL+path, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	received, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = received.Body.Close() }()
	a := response{status: received.StatusCode, header: received.Header}
	if a.body, err = io.ReadAll(received.Body); err != nil {
		t.Fatal(err)
	}
	if kind := a.header.Get("Content-Type"); kind != "application/json" {
		t.Errorf("%s %s: Content-Type %q, want application/json", method, path, kind)
	}
	if err := json.Unmarshal(a.body, &a.processJSON); err != nil {
		t.Errorf("%s %s: the body is not a JSON object: %v: %s", method, path, err, a.body)
	}
	if a.status != http.StatusOK && a.ErrorCode == "" {
		t.Errorf("%s %s: status %d without an errorCode: %s", method, path, a.status, a.body)
	}
	return a
}

// post creates a process and returns its id.
func post(t *testing.T, processType, input string) string {
	t.Helper()
	a := do(t, http.MethodPost, "/v1/processes/"+processType, []byte(`{"input":`+input+`}`))
	if a.status != http.StatusOK || a.State != "processing" {
		t.Fatalf("POST: status %d: %s", a.status, a.body)
	}
	return a.ProcessID
}

func get(t *testing.T, processType, id string) response {
	t.Helper()
	return do(t, http.MethodGet, "/v1/processes/"+processType+"/"+id, nil)
}

// awaitTerminal waits until a process is terminal and returns the last response to
// GET. Every response until then must be a 200.
func awaitTerminal(t *testing.T, processType, id string, within time.Duration) response {
	t.Helper()
	var last response
	eventually(t, within, "process "+id+" is terminal", func() bool {
		last = get(t, processType, id)
		if last.status != http.StatusOK {
			t.Fatalf("GET %s: status %d: %s", id, last.status, last.body)
		}
		return last.State != "processing"
	})
	return last
}

// awaitComplete is awaitTerminal for a process that must complete.
func awaitComplete(t *testing.T, processType, id string) response {
	t.Helper()
	a := awaitTerminal(t, processType, id, 2*time.Minute)
	if a.State != "complete" {
		t.Fatalf("process %s is in state %s: %s %s", id, a.State, a.ErrorCode, a.ErrorDetails)
	}
	return a
}

// awaitError is awaitTerminal for a process that must end in error with this code.
func awaitError(t *testing.T, processType, id, code string) response {
	t.Helper()
	a := awaitTerminal(t, processType, id, 2*time.Minute)
	if a.State != "error" || a.ErrorCode != code {
		t.Fatalf("process %s is in state %s: %s %s, want error %s", id, a.State, a.ErrorCode, a.ErrorDetails, code)
	}
	return a
}

// eventually waits until a condition is true. what names the condition in the
// failure, such as "the worker runs".
func eventually(t *testing.T, within time.Duration, what string, holds func() bool) {
	t.Helper()
	err := wait.PollUntilContextTimeout(t.Context(), 100*time.Millisecond, within, true, func(context.Context) (bool, error) { return holds(), nil })
	if err != nil {
		t.Fatalf("not true within %s: %s", within, what)
	}
}

// createForTest creates an object and deletes it when the test ends. It replaces an object
// with the same name from a run that was interrupted.
func createForTest(t *testing.T, object client.Object) {
	t.Helper()
	if err := kube.Create(t.Context(), object); apierrors.IsAlreadyExists(err) {
		if err := kube.Delete(t.Context(), object); err != nil {
			t.Fatal(err)
		}
		eventually(t, time.Minute, "the object of an earlier run is deleted", func() bool {
			object.SetResourceVersion("")
			return kube.Create(t.Context(), object) == nil
		})
	} else if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := client.IgnoreNotFound(kube.Delete(context.Background(), object)); err != nil {
			t.Error(err)
		}
	})
}

// named returns the metadata of an object in the namespace of the processes.
func named(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: workNamespace, Name: name}
}

// registerEcho registers another type with the echo worker for this test. change
// changes its spec. It returns when the facade knows the type.
func registerEcho(t *testing.T, name string, change func(*v1alpha1.ProcessTypeSpec)) {
	t.Helper()
	registered := &v1alpha1.ProcessType{ObjectMeta: named(name), Spec: getType(t, "echo").Spec}
	change(&registered.Spec)
	createForTest(t, registered)
	awaitKnown(t, name)
}

// awaitKnown waits until the facade knows a type. It wants ten such responses in a
// row, because a Service may send each request to another replica.
func awaitKnown(t *testing.T, name string) {
	t.Helper()
	inARow := 0
	eventually(t, 30*time.Second, "the facade knows type "+name, func() bool {
		// The body is not JSON. An unknown type is reported before that.
		if a := do(t, http.MethodPost, "/v1/processes/"+name, []byte("-")); bytes.Contains(a.body, []byte(`"at":"processType"`)) {
			inARow = 0
		} else {
			inARow++
		}
		return inARow >= 10
	})
}

// getType reads a ProcessType.
func getType(t *testing.T, name string) *v1alpha1.ProcessType {
	t.Helper()
	pt := &v1alpha1.ProcessType{}
	if err := kube.Get(t.Context(), client.ObjectKey{Namespace: workNamespace, Name: name}, pt); err != nil {
		t.Fatal(err)
	}
	return pt
}

// getJob reads the Job of a process.
func getJob(t *testing.T, id string) *batchv1.Job {
	t.Helper()
	job := &batchv1.Job{}
	if err := kube.Get(t.Context(), client.ObjectKey{Namespace: workNamespace, Name: id}, job); err != nil {
		t.Fatal(err)
	}
	return job
}

// getProcess reads the Process object of an id.
func getProcess(t *testing.T, id string) *v1alpha1.Process {
	t.Helper()
	p := &v1alpha1.Process{}
	if err := kube.Get(t.Context(), client.ObjectKey{Namespace: workNamespace, Name: id}, p); err != nil {
		t.Fatal(err)
	}
	return p
}

// workerPods lists the pods of a process, which are those of its Job.
func workerPods(t *testing.T, id string) []corev1.Pod {
	t.Helper()
	var pods corev1.PodList
	if err := kube.List(t.Context(), &pods, client.InNamespace(workNamespace), client.MatchingLabels{batchv1.JobNameLabel: id}); err != nil {
		t.Fatal(err)
	}
	return pods.Items
}

// awaitAccepted waits until the operator has accepted a type.
func awaitAccepted(t *testing.T, name string) {
	t.Helper()
	eventually(t, time.Minute, "type "+name+" is accepted", func() bool {
		c := getType(t, name).Verdict(v1alpha1.ConditionAccepted)
		return c != nil && c.Status == metav1.ConditionTrue
	})
}
