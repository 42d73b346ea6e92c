// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package envtest

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"procman.dev/procman/api/v1alpha1"
	"procman.dev/procman/internal/timing"
)

// warnings records the warnings of the API server, as kubectl prints them.
type warnings struct {
	mu   sync.Mutex
	text []string
}

func (w *warnings) HandleWarningHeader(_ int, _, text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.text = append(w.text, text)
}

// take returns the warnings since the last call.
func (w *warnings) take() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	text := w.text
	w.text = nil
	return text
}

// installFile creates the objects in a file of config.
func installFile(t *testing.T, name string) {
	t.Helper()
	file, err := os.Open("../../config/" + name)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	for documents := utilyaml.NewYAMLReader(bufio.NewReader(file)); ; {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return
		}
		object := &unstructured.Unstructured{}
		if err := errors.Join(err, yaml.Unmarshal(document, &object.Object)); err != nil {
			t.Fatal(err)
		}
		create(t, object)
	}
}

// kubectl apply warns of exactly those types that the operator does not accept because of
// their lifetime, with the same number.
func TestWarningsAboutLifetimes(t *testing.T) {
	t.Parallel()
	installFile(t, "admission/lifetimes.yaml")
	heard := &warnings{}
	withWarnings := rest.CopyConfig(config)
	withWarnings.WarningHandler = heard
	kubectl, err := client.New(withWarnings, client.Options{Scheme: kube.Scheme()})
	if err != nil {
		t.Fatal(err)
	}
	about := func(spec v1alpha1.ProcessTypeSpec) []string {
		pt := newType("warned")
		spec.Image, spec.Command = pt.Spec.Image, pt.Spec.Command
		pt.Spec = spec
		if err := kubectl.Create(t.Context(), pt, client.DryRunAll); err != nil {
			t.Fatal(err)
		}
		return heard.take()
	}
	for deadline := time.Now().Add(20 * time.Second); len(about(v1alpha1.ProcessTypeSpec{TimeoutSeconds: 7200})) == 0; <-time.After(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("there is no warning about a worker that runs for 2 hours")
		}
	}
	if got := about(v1alpha1.ProcessTypeSpec{}); len(got) > 0 {
		t.Errorf("about the defaults: %q", got)
	}
	for attempts := range int32(10) {
		for _, backoff := range []int32{0, 1, 15, 300, 3600} {
			spec := v1alpha1.ProcessTypeSpec{Attempts: attempts + 1, BackoffSeconds: backoff, TimeoutSeconds: 7 + backoff}
			needed := int32(timing.Attempts(&spec) / time.Second)
			spec.LifetimeSeconds = needed
			if got := about(spec); len(got) > 0 {
				t.Errorf("%+v: warnings %q, want none", spec, got)
			}
			spec.LifetimeSeconds--
			want := fmt.Sprintf("spec.lifetimeSeconds is %d, expected at least %d", needed-1, needed)
			if got := about(spec); !slices.ContainsFunc(got, func(text string) bool { return strings.Contains(text, want) }) {
				t.Errorf("%+v: warnings %q, want %q", spec, got, want)
			}
			if err := timing.CheckLifetime(&spec); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("the operator's message is %v, want %q", err, want)
			}
		}
	}
}
