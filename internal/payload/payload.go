// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

// Package payload says where the payloads of a Process are: its input, its
// output and its errorDetails.
//
// A payload is inline, in the Process object itself; or stored, in the object store,
// and the Process has a reference to it; or omitted: a cache left it out because it is
// large or not needed there, and Read gets it.
package payload

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"strconv"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"procman.dev/procman/api/v1alpha1"
)

// MaxInlineBytes is the size of the largest input of a POST and of the largest output
// that is inline, and of the largest payload that caches keep. With it, the size of a
// Process, in etcd and in a cache, does not depend on what it works on. A Process that
// was made with kubectl can have a larger input inline.
const MaxInlineBytes = 16 << 10

// omitted begins the value, in a cache, of a payload that was left out; its size follows.
// The payloads that the facade and the operator write are JSON objects, and never begin
// with it.
const omitted = "~"

// IsOmitted reports whether a cache left a payload out.
func IsOmitted(text string) bool { return strings.HasPrefix(text, omitted) }

// Bytes returns the size of a payload, also of one that a cache left out.
func Bytes(text string) int {
	if digits, ok := strings.CutPrefix(text, omitted); ok {
		if bytes, err := strconv.Atoi(digits); err == nil {
			return bytes
		}
	}
	return len(text)
}

// Limits are the sizes, in bytes, of the largest payloads that a cache keeps of
// one Process. 0 keeps none.
type Limits struct {
	Input, Output, ErrorDetails int
}

// Policy chooses the limits for a Process.
type Policy func(*v1alpha1.Process) Limits

// KeepSmall keeps every payload of up to MaxInlineBytes. It is the policy of the
// facade, which shows them all.
func KeepSmall(*v1alpha1.Process) Limits {
	return Limits{Input: MaxInlineBytes, Output: MaxInlineBytes, ErrorDetails: MaxInlineBytes}
}

// KeepSmallInputs keeps the inputs of up to MaxInlineBytes of Processes that are
// not terminal. It is the policy of the operator, which needs no input after that
// and no other payload at all.
func KeepSmallInputs(p *v1alpha1.Process) Limits {
	if p.Finished() {
		return Limits{}
	}
	return Limits{Input: MaxInlineBytes}
}

// Trim leaves out the payloads of p that are over their limits. An absent payload stays
// absent.
func (policy Policy) Trim(p *v1alpha1.Process) {
	limits := policy(p)
	for _, payload := range []struct {
		text *string
		max  int
	}{
		{&p.Spec.Input, limits.Input},
		{&p.Status.Output, limits.Output},
		{&p.Status.ErrorDetails, limits.ErrorDetails},
	} {
		if len(*payload.text) > payload.max && !IsOmitted(*payload.text) {
			*payload.text = omitted + strconv.Itoa(len(*payload.text))
		}
	}
}

// Transform returns the transform of an informer of Processes. It trims them, and
// removes what nobody reads: managed fields, labels, and annotations that are not ours.
func (policy Policy) Transform() toolscache.TransformFunc {
	return func(obj any) (any, error) {
		if p, ok := obj.(*v1alpha1.Process); ok {
			p.ManagedFields, p.Labels = nil, nil
			maps.DeleteFunc(p.Annotations, func(name, _ string) bool { return name != v1alpha1.AnnotationIdempotencyKey })
			policy.Trim(p)
		}
		return obj, nil
	}
}

// Read returns p with all its payloads, in a form at least as new as p. live is
// the API server itself, not a cache. It can answer from its own memory, without
// a read of etcd, because p's resource version bounds how old the answer may be.
//
// The error is a NotFound of apierrors when p is gone, even if another Process
// has its name now.
func Read(ctx context.Context, live client.Reader, p *v1alpha1.Process) (*v1alpha1.Process, error) {
	return read(ctx, live, p, &client.GetOptions{Raw: &metav1.GetOptions{ResourceVersion: p.ResourceVersion}})
}

// ReadNewest is Read, but returns the newest form of p, from etcd.
func ReadNewest(ctx context.Context, live client.Reader, p *v1alpha1.Process) (*v1alpha1.Process, error) {
	return read(ctx, live, p)
}

func read(ctx context.Context, live client.Reader, p *v1alpha1.Process, how ...client.GetOption) (*v1alpha1.Process, error) {
	found := &v1alpha1.Process{}
	if err := live.Get(ctx, client.ObjectKeyFromObject(p), found, how...); err != nil {
		return nil, fmt.Errorf("read process: %w", err)
	}
	if found.UID != p.UID {
		return nil, fmt.Errorf("read process: %w", apierrors.NewNotFound(v1alpha1.GroupVersion.WithResource("processes").GroupResource(), p.Name))
	}
	return found, nil
}

// InlineInput returns the input of p, which must not be stored: its own if the cache has
// it, and otherwise from Read.
func InlineInput(ctx context.Context, live client.Reader, p *v1alpha1.Process) (string, error) {
	if IsOmitted(p.Spec.Input) {
		found, err := Read(ctx, live, p)
		if err != nil {
			return "", err
		}
		p = found
	}
	return cmp.Or(p.Spec.Input, "{}"), nil
}
