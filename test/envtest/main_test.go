// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

// Package envtest tests the CRDs, the operator and the facade on a real API server.
// There is no Job controller and no node: the tests do their work.
package envtest

import (
	"context"
	"flag"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"procman.dev/procman/api/v1alpha1"
	"procman.dev/procman/controllers"
)

const namespace = "work"

var (
	// config is the configuration of kube.
	config *rest.Config
	// kube is a client with an administrator's rights.
	kube client.Client
	// registry contains the metrics of the operator under test.
	registry = prometheus.NewRegistry()
	// objects is the URL of the object store.
	objects string
	// collectorURL is the URL of the collector of the operator under test.
	collectorURL string
)

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "envtest:", err)
		code = 1
	}
	os.Exit(code)
}

// run starts the API server and one operator for all tests.
func run(m *testing.M) (int, error) {
	if os.Getenv("KUBEBUILDER_ASSETS") == "" {
		return 0, fmt.Errorf("KUBEBUILDER_ASSETS is not set; make unit sets it, or: export KUBEBUILDER_ASSETS=$(bin/localcluster assets)")
	}
	ctrl.SetLogger(logr.Discard()) // the tests assert everything that matters
	scheme := runtime.NewScheme()
	if err := clientgoscheme.AddToScheme(scheme); err != nil {
		return 0, err
	}
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		return 0, err
	}
	environment := &envtest.Environment{
		CRDDirectoryPaths:     []string{filepath.Join("..", "..", "config", "crd", "bases")},
		ErrorIfCRDPathMissing: true,
		Scheme:                scheme,
	}
	var err error
	config, err = environment.Start()
	if err != nil {
		return 0, err
	}
	defer func() { _ = environment.Stop() }()
	config.QPS = -1
	if kube, err = client.New(config, client.Options{Scheme: scheme}); err != nil {
		return 0, err
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	for _, object := range []client.Object{
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}},
		&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "procman-worker"}},
		&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "someone-else"}},
	} {
		if err := kube.Create(ctx, object); err != nil {
			return 0, err
		}
	}

	directory, err := os.MkdirTemp("", "objects")
	if err != nil {
		return 0, err
	}
	defer func() { _ = os.RemoveAll(directory) }()
	objects = "file://" + directory
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	collectorURL = "http://" + listener.Addr().String()
	mgr, err := ctrl.NewManager(config, ctrl.Options{
		Scheme: scheme, Cache: controllers.CacheOptions(namespace), Metrics: server.Options{BindAddress: "0"},
	})
	if err != nil {
		return 0, err
	}
	flags := flag.NewFlagSet("operator", flag.ContinueOnError)
	var options controllers.Options
	options.AddFlags(flags)
	err = flags.Parse([]string{
		"--namespace=" + namespace, "--concurrency=4", "--agent-image=agent:1", "--agent-injection=" + string(v1alpha1.AgentEmbedded),
		"--collector-url=" + collectorURL, "--store=" + objects, "--keep-complete-jobs=2s", "--keep-failed-jobs=4s",
		"--max-starting=0", // no agent runs, so that most processes never start
	})
	if err != nil {
		return 0, err
	}
	if err := controllers.Setup(ctx, mgr, options, listener, registry); err != nil {
		return 0, err
	}
	ended := make(chan error, 1)
	go func() { ended <- mgr.Start(ctx) }()
	if !mgr.GetCache().WaitForCacheSync(ctx) {
		return 0, fmt.Errorf("the operator's caches are not filled")
	}
	code := m.Run()
	stop()
	return code, <-ended
}

// eventually waits until a condition is true. what names the condition in the
// failure, such as "the process is deleted".
func eventually(t *testing.T, what string, holds func(ctx context.Context) bool) {
	t.Helper()
	err := wait.PollUntilContextTimeout(t.Context(), 20*time.Millisecond, 20*time.Second, true, func(ctx context.Context) (bool, error) { return holds(ctx), nil })
	if err != nil {
		t.Fatalf("not true within 20 s: %s", what)
	}
}

// create creates an object and returns it as the API server stored it.
func create[T client.Object](t *testing.T, object T) T {
	t.Helper()
	if err := kube.Create(t.Context(), object); err != nil {
		t.Fatal(err)
	}
	return object
}

// newProcess returns a Process of type "any". It is not created.
func newProcess(name string) *v1alpha1.Process {
	return &v1alpha1.Process{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec:       v1alpha1.ProcessSpec{Type: "any", Input: `{"n": 1.0}`},
	}
}

// newType returns a ProcessType that can be accepted. It is not created.
func newType(name string) *v1alpha1.ProcessType {
	return &v1alpha1.ProcessType{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec:       v1alpha1.ProcessTypeSpec{Image: "worker:1", Command: []string{"/worker"}},
	}
}

// awaitTerminal waits until a Process is terminal.
func awaitTerminal(t *testing.T, name string) *v1alpha1.Process {
	t.Helper()
	p := &v1alpha1.Process{}
	eventually(t, "process "+name+" is terminal", func(ctx context.Context) bool {
		if err := kube.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, p); err != nil {
			t.Fatal(err)
		}
		return p.Finished()
	})
	return p
}
