//go:build e2e

// Package e2e holds the end-to-end suite: the installed product on a real
// cluster, used as its users use it. It needs KUBECONFIG; make e2e sets it up.
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
	// kube is an administrator's client of the cluster.
	kube client.Client
	// config leads to the cluster.
	config *rest.Config
	// baseURL is where the facade answers.
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

// answer is a response of the facade, read whole.
type answer struct {
	status int
	header http.Header
	body   []byte
	shown
}

// shown is a process as the facade shows it.
type shown struct {
	ProcessID          string          `json:"processId"`
	State              string          `json:"state"`
	ExpirationDateTime string          `json:"expirationDateTime"`
	Input              json.RawMessage `json:"input"`
	Output             json.RawMessage `json:"output"`
	ErrorCode          string          `json:"errorCode"`
	ErrorDetails       json.RawMessage `json:"errorDetails"`
	PercentComplete    *int            `json:"percentComplete"`
}

// do makes a request and checks what holds for every response: it is JSON, an
// object, and says an errorCode when it is an error.
func do(t *testing.T, method, path string, body []byte) answer {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, baseURL+path, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	a := answer{status: response.StatusCode, header: response.Header}
	if a.body, err = io.ReadAll(response.Body); err != nil {
		t.Fatal(err)
	}
	if kind := response.Header.Get("Content-Type"); kind != "application/json" {
		t.Errorf("%s %s: Content-Type %q, want application/json", method, path, kind)
	}
	if err := json.Unmarshal(a.body, &a.shown); err != nil {
		t.Errorf("%s %s: the body is no JSON object: %v: %s", method, path, err, a.body)
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

func get(t *testing.T, processType, id string) answer {
	t.Helper()
	return do(t, http.MethodGet, "/v1/processes/"+processType+"/"+id, nil)
}

// finish waits until a process is in a terminal state, and returns what GET then
// says. No GET on the way may be anything but a 200.
func finish(t *testing.T, processType, id string, within time.Duration) answer {
	t.Helper()
	var last answer
	eventually(t, within, "process "+id+" is terminal", func() bool {
		last = get(t, processType, id)
		if last.status != http.StatusOK {
			t.Fatalf("GET %s: status %d: %s", id, last.status, last.body)
		}
		return last.State != "processing"
	})
	return last
}

// complete is finish for processes that have to complete.
func complete(t *testing.T, processType, id string) answer {
	t.Helper()
	a := finish(t, processType, id, 2*time.Minute)
	if a.State != "complete" {
		t.Fatalf("process %s is in state %s: %s %s", id, a.State, a.ErrorCode, a.ErrorDetails)
	}
	return a
}

// failed is finish for processes that have to end in error with a code.
func failed(t *testing.T, processType, id, code string) answer {
	t.Helper()
	a := finish(t, processType, id, 2*time.Minute)
	if a.State != "error" || a.ErrorCode != code {
		t.Fatalf("process %s is in state %s: %s %s, want error %s", id, a.State, a.ErrorCode, a.ErrorDetails, code)
	}
	return a
}

func eventually(t *testing.T, within time.Duration, what string, holds func() bool) {
	t.Helper()
	err := wait.PollUntilContextTimeout(t.Context(), 100*time.Millisecond, within, true, func(context.Context) (bool, error) { return holds(), nil })
	if err != nil {
		t.Fatalf("after %s it is still not so that %s", within, what)
	}
}

// registerEcho registers another type with the echo worker, changed as told, for
// the time of the test. It returns once the facade knows it.
func registerEcho(t *testing.T, name string, change func(*v1alpha1.ProcessTypeSpec)) {
	t.Helper()
	echo := &v1alpha1.ProcessType{}
	if err := kube.Get(t.Context(), client.ObjectKey{Namespace: workNamespace, Name: "echo"}, echo); err != nil {
		t.Fatal(err)
	}
	registered := &v1alpha1.ProcessType{ObjectMeta: metav1.ObjectMeta{Namespace: workNamespace, Name: name}, Spec: echo.Spec}
	change(&registered.Spec)
	if err := kube.Create(t.Context(), registered); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := kube.Delete(context.Background(), registered); err != nil {
			t.Error(err)
		}
	})
	known(t, name)
}

// known waits until the facade knows a type.
func known(t *testing.T, name string) {
	t.Helper()
	inARow := 0
	eventually(t, 30*time.Second, "the facade knows type "+name, func() bool {
		// An unknown type is told before a body that is no JSON.
		if a := do(t, http.MethodPost, "/v1/processes/"+name, []byte("-")); bytes.Contains(a.body, []byte(`"at":"processType"`)) {
			inARow = 0
		} else {
			inARow++
		}
		return inARow >= 10
	})
}

// process reads the Process of an id.
func process(t *testing.T, id string) *v1alpha1.Process {
	t.Helper()
	p := &v1alpha1.Process{}
	if err := kube.Get(t.Context(), client.ObjectKey{Namespace: workNamespace, Name: id}, p); err != nil {
		t.Fatal(err)
	}
	return p
}

// workerPods returns the pods of a process: those of its Job.
func workerPods(t *testing.T, id string) []corev1.Pod {
	t.Helper()
	var pods corev1.PodList
	if err := kube.List(t.Context(), &pods, client.InNamespace(workNamespace), client.MatchingLabels{batchv1.JobNameLabel: id}); err != nil {
		t.Fatal(err)
	}
	return pods.Items
}

// accepted waits until the operator has looked at a type, and taken it.
func accepted(t *testing.T, name string) {
	t.Helper()
	eventually(t, time.Minute, "type "+name+" is accepted", func() bool {
		pt := &v1alpha1.ProcessType{}
		if err := kube.Get(t.Context(), client.ObjectKey{Namespace: workNamespace, Name: name}, pt); err != nil {
			t.Fatal(err)
		}
		c := pt.Verdict(v1alpha1.ConditionAccepted)
		return c != nil && c.Status == metav1.ConditionTrue
	})
}
