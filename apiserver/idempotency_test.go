// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"procman.dev/procman/api/v1alpha1"
)

const reused = `{"errorCode":"IdempotencyKeyReused","errorDetails":{"in":"header","at":"Idempotency-Key"}}`

// The second POST with a key gets the answer of the first, or 422 for another input and
// for a process that was deleted. What a key means is tested in package processes.
func TestIdempotencyKey(t *testing.T) {
	f := newFacade(t)
	first := f.postKeyed(`{"input":{}}`)
	f.want(first, 200, first.body)
	f.want(f.postKeyed(`{ "input": {} }`), 200, first.body)
	f.want(f.postKeyed(`{"input":{"a":1}}`), 422, reused)
	path := "/v1/processes/echo/" + f.idOf(first)
	f.want(f.do("DELETE", path, nil, nil), 204, "")
	f.want(f.postKeyed(`{"input":{}}`), 422, reused)
	f.want(f.get(path), 404, notFound)
}

// A POST that was answered can be sent again after the type was changed so that it refuses
// the input: it gets its process. Every other POST is refused.
func TestKeyAfterTheTypeRefusesTheInput(t *testing.T) {
	const input = `{"input":{"a":"0123456789"}}`
	tightened := func(pt *v1alpha1.ProcessType) {
		pt.Spec.InputSchema = &apiextensionsv1.JSON{Raw: []byte(`{"type":"object","properties":{"b":{"type":"string"}}}`)}
	}
	lowered := func(pt *v1alpha1.ProcessType) { pt.Spec.Limits.InputBytes = 10 }
	const unrecognized = `{"errorCode":"UnrecognizedInput","errorDetails":{"in":"body","at":"input.a"}}`
	first := func(f *facade, _ string) response { return f.postKeyed(input) }
	for name, test := range map[string]struct {
		change func(*v1alpha1.ProcessType)
		send   func(f *facade, id string) response
		status int
		body   string // the first answer when empty
	}{
		"the same":                     {tightened, first, 200, ""},
		"the same, over a lower limit": {lowered, first, 200, ""},
		"the same, known": {tightened, func(f *facade, id string) response {
			f.known(id, func(p *v1alpha1.Process) { p.Spec.Input = `{"a":"0123456789"}` })
			f.live.OnGet = func() error {
				f.live.OnGet = func() error { return errors.New("a second read") }
				return nil
			}
			return f.postKeyed(input)
		}, 200, ""},
		"another input": {tightened, func(f *facade, _ string) response { return f.postKeyed(`{"input":{"a":1}}`) }, 480, unrecognized},
		"another key": {tightened, func(f *facade, _ string) response {
			return f.do("POST", "/v1/processes/echo", strings.NewReader(input), map[string]string{"Idempotency-Key": "other"})
		}, 480, unrecognized},
		"no key": {tightened, func(f *facade, _ string) response { return f.post("/v1/processes/echo", input) }, 480, unrecognized},
		"deleted": {tightened, func(f *facade, id string) response {
			f.do("DELETE", "/v1/processes/echo/"+id, nil, nil)
			return f.postKeyed(input)
		}, 480, unrecognized},
		"expired": {tightened, func(f *facade, _ string) response {
			f.clock.Step(time.Minute)
			return f.postKeyed(input)
		}, 480, unrecognized},
		"the API server is down": {tightened, func(f *facade, _ string) response {
			f.live.OnGet = func() error { return errors.New("the API server is down") }
			return f.postKeyed(input)
		}, 580, failed},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFacade(t)
			original := f.postKeyed(input)
			f.register("echo", 1, func(pt *v1alpha1.ProcessType) {
				pt.Generation, pt.Spec.LifetimeSeconds = 2, 60
				test.change(pt)
			})
			creates := f.live.Creates.Load()
			got := test.send(f, f.idOf(original))
			want := test.body
			if want == "" {
				want = original.body
			}
			f.want(got, test.status, want)
			if f.live.Creates.Load() != creates {
				t.Error("something was created")
			}
		})
	}
}

// A repeated POST gets the same response, although the cache omits the input.
func TestKeyOfALargeInput(t *testing.T) {
	f := newFacade(t)
	post := func() response {
		return f.do("POST", "/v1/processes/echo", strings.NewReader(`{"input":{"a":"`+strings.Repeat("x", 20_000)+`"}}`), map[string]string{"Idempotency-Key": "k"})
	}
	first := post()
	p := &v1alpha1.Process{}
	if err := f.live.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: f.idOf(first)}, p); err != nil {
		t.Fatal(err)
	}
	f.cache.Set(trimmed(p))
	f.want(post(), 200, first.body)
}
