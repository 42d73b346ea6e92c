// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package envtest

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"procman.dev/procman/api/v1alpha1"
	"procman.dev/procman/apiserver"
	"procman.dev/procman/apiserver/keyring"
	"procman.dev/procman/test/contract"
)

// TestContract runs the contract suite against three replicas of the facade.
// There are no nodes, so a goroutine does the work of the echo worker.
func TestContract(t *testing.T) {
	t.Parallel()
	create(t, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: keyring.SecretName}})
	file, err := os.ReadFile("../contract/processtypes.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(file), 4096); ; {
		var pt v1alpha1.ProcessType
		if err := decoder.Decode(&pt); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		pt.Namespace = namespace
		create(t, &pt)
	}
	var replicas []string
	for range 3 {
		replicas = append(replicas, startFacade(t, namespace))
	}
	runFakeWorkers(t)
	t.Run("idempotency key of a refused process", func(t *testing.T) { testKeyOfRefusedProcess(t, replicas[0]) })
	t.Run("suite", func(t *testing.T) { // ends after all its parallel parts
		contract.Run(t, contract.Target{URL: replicas[0], Replicas: replicas})
	})
}

// testKeyOfRefusedProcess: if the cluster refuses to create a Process, its
// Idempotency-Key stays unused.
func testKeyOfRefusedProcess(t *testing.T, url string) {
	const name = "refuse-by-input"
	create(t, &admissionv1.ValidatingAdmissionPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: admissionv1.ValidatingAdmissionPolicySpec{
			MatchConstraints: &admissionv1.MatchResources{ResourceRules: []admissionv1.NamedRuleWithOperations{{RuleWithOperations: admissionv1.RuleWithOperations{
				Operations: []admissionv1.OperationType{admissionv1.Create},
				Rule:       admissionv1.Rule{APIGroups: []string{v1alpha1.GroupVersion.Group}, APIVersions: []string{"*"}, Resources: []string{"processes"}},
			}}}},
			Validations: []admissionv1.Validation{{Expression: "!has(object.spec.input) || !object.spec.input.contains('refuse by policy')"}},
		},
	})
	create(t, &admissionv1.ValidatingAdmissionPolicyBinding{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       admissionv1.ValidatingAdmissionPolicyBindingSpec{PolicyName: name, ValidationActions: []admissionv1.ValidationAction{admissionv1.Deny}},
	})
	post := func(key, input string) int {
		response, _ := postTo(t, url+"/v1/processes/contract", `{"input":{"any":"`+input+`"}}`, http.Header{"Idempotency-Key": {key}})
		return response.StatusCode
	}
	key := ""
	eventually(t, "the policy is active", func(context.Context) bool {
		key = rand.Text()
		return post(key, "refuse by policy") == 580
	})
	if status := post(key, "fine"); status != http.StatusOK {
		t.Errorf("another input with the key of a refused process: status %d, want 200", status)
	}
	if status := post(key, "another"); status != http.StatusUnprocessableEntity {
		t.Errorf("another input with the key of a created process: status %d, want 422", status)
	}
}

// TestQuota: a ResourceQuota bounds the number of processes.
func TestQuota(t *testing.T) {
	t.Parallel()
	const own = "with-quota"
	create(t, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: own}})
	create(t, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: own, Name: keyring.SecretName}})
	echo := newType("echo")
	echo.Namespace = own
	create(t, echo)
	limited := func(n int64) corev1.ResourceList {
		return corev1.ResourceList{"count/processes.procman.dev": *resource.NewQuantity(n, resource.DecimalSI)}
	}
	quota := create(t, &corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Namespace: own, Name: "procman"}, Spec: corev1.ResourceQuotaSpec{Hard: limited(2)}})
	// count writes the status, as the quota controller does.
	count := func(hard, used int64) {
		quota.Status = corev1.ResourceQuotaStatus{Hard: limited(hard), Used: limited(used)}
		if err := kube.Status().Update(t.Context(), quota); err != nil {
			t.Fatal(err)
		}
	}
	url := startFacade(t, own) + "/v1/processes/echo"
	post := func() (int, string) {
		response, body := postTo(t, url, `{"input":{}}`, http.Header{})
		if after := response.Header.Get("Retry-After"); (after == "1") != (response.StatusCode == http.StatusTooManyRequests) {
			t.Errorf("status %d, Retry-After %q", response.StatusCode, after)
		}
		return response.StatusCode, body
	}
	refused := func(context.Context) bool {
		status, body := post()
		if status != http.StatusOK && (status != http.StatusTooManyRequests || body != `{"errorCode":"TooManyRequests"}`) {
			t.Errorf("status %d: %s", status, body)
		}
		return status == http.StatusTooManyRequests
	}
	count(2, 2)
	eventually(t, "the quota is active", refused)
	if !refused(t.Context()) {
		t.Error("a process was created beyond the quota")
	}
	if err := kube.Get(t.Context(), client.ObjectKeyFromObject(quota), quota); err != nil {
		t.Fatal(err)
	}
	count(2, 1) // as if one had expired
	eventually(t, "another process is created", func(context.Context) bool {
		status, _ := post()
		return status == http.StatusOK
	})
	if !refused(t.Context()) {
		t.Error("two processes were created, the quota has room for one")
	}
}

// postTo sends JSON and returns the response and its body.
func postTo(t *testing.T, url, body string, header http.Header) (*http.Response, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	header.Set("Content-Type", "application/json")
	request.Header = header
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, string(answer)
}

// startFacade runs a replica of the facade until the test ends. It returns its base
// URL when it is ready.
func startFacade(t *testing.T, namespace string) string {
	t.Helper()
	free := func() string {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = listener.Close() }()
		return listener.Addr().String()
	}
	c := apiserver.Config{
		Options:      apiserver.Options{Namespace: namespace, Metrics: prometheus.NewRegistry()},
		KeyNamespace: namespace, Store: objects, BindAddress: free(), HealthBindAddress: free(), MaxConnections: 1000,
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- apiserver.Run(ctx, config, c, logr.Discard()) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("the facade ended: %v", err)
		}
	})
	eventually(t, "the facade is ready", func(ctx context.Context) bool {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+c.HealthBindAddress+"/readyz", nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return false
		}
		_ = response.Body.Close()
		return response.StatusCode == http.StatusOK
	})
	return "http://" + c.BindAddress
}

// runFakeWorkers does the work of the echo worker for every Process of the suite's
// types, until the test ends.
func runFakeWorkers(t *testing.T) {
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	var workers sync.WaitGroup
	workers.Go(func() {
		seen := map[string]bool{}
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for ctx.Err() == nil {
			var all v1alpha1.ProcessList
			if err := kube.List(ctx, &all, client.InNamespace(namespace)); err != nil && ctx.Err() == nil {
				t.Errorf("list processes: %v", err)
			}
			for _, p := range all.Items {
				if strings.HasPrefix(p.Spec.Type, "contract") && !seen[p.Name] {
					seen[p.Name] = true
					workers.Go(func() { fakeEcho(ctx, t, &p) })
				}
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
			}
		}
	})
	t.Cleanup(func() { stop(); workers.Wait() })
}

// fakeEcho writes the status of one process as its script says. It knows the part of
// the script language that the suite uses.
func fakeEcho(ctx context.Context, t *testing.T, p *v1alpha1.Process) {
	var input struct {
		Echo struct {
			Seconds  float64
			Progress []int32
			Error    *struct {
				ErrorCode    string
				ErrorDetails json.RawMessage
			}
			NoOutput bool
		}
	}
	if err := json.Unmarshal([]byte(p.Spec.Input), &input); err != nil {
		t.Errorf("input of %s: %v", p.Name, err)
	}
	patch := func(change func(*v1alpha1.ProcessStatus)) {
		before := client.MergeFrom(p.DeepCopy())
		change(&p.Status)
		if err := kube.Status().Patch(ctx, p, before); client.IgnoreNotFound(err) != nil && ctx.Err() == nil {
			t.Errorf("patch status of %s: %v", p.Name, err)
		}
	}
	script := input.Echo
	for p.Spec.Type == "contract-queue" && kube.Get(ctx, client.ObjectKeyFromObject(p), &batchv1.Job{}) != nil { // it waits for its turn
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return
		}
	}
	patch(func(s *v1alpha1.ProcessStatus) { s.StartTime = metav1.Now() })
	step := time.Duration(script.Seconds * float64(time.Second) / float64(len(script.Progress)+1))
	for i := range len(script.Progress) + 1 {
		select {
		case <-time.After(step):
		case <-ctx.Done():
			return
		}
		if i < len(script.Progress) {
			patch(func(s *v1alpha1.ProcessStatus) { s.PercentComplete = &script.Progress[i] })
		}
	}
	patch(func(s *v1alpha1.ProcessStatus) {
		s.CompletionTime = metav1.Now()
		switch {
		case script.Error != nil:
			s.State, s.ErrorCode, s.ErrorDetails = v1alpha1.StateError, script.Error.ErrorCode, string(script.Error.ErrorDetails)
		case script.NoOutput:
			s.State, s.ErrorCode = v1alpha1.StateError, "OutputMissing"
		default:
			s.State, s.Output = v1alpha1.StateComplete, p.Spec.Input
		}
	})
}
