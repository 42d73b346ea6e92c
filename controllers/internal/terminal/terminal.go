// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

// Package terminal writes the terminal status of a Process. The collector writes
// what the agent delivered, the process controller what it concludes from Job and
// pods. The first write counts; a terminal status is never overwritten.
package terminal

import (
	"context"
	"errors"
	"fmt"
	"math"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	logf "sigs.k8s.io/controller-runtime/pkg/log"

	"procman.dev/procman/api/v1alpha1"
	"procman.dev/procman/controllers/internal/statuspatch"
	"procman.dev/procman/internal/agentapi"
	"procman.dev/procman/internal/payload"
	"procman.dev/procman/internal/processstatus"
	"procman.dev/procman/internal/rules"
	"procman.dev/procman/internal/store"
)

// Writer commits terminal states.
type Writer struct {
	Client client.Client
	// Live reads from the API server, not from the cache.
	Live client.Reader
	// Objects gets the large outputs.
	Objects *store.Store
	Clock   clock.PassiveClock
	// Rules has the rules of the process types, to validate outputs.
	Rules *rules.Cache
}

// Commit writes the terminal status of the Process, in one write, unless it has one
// already. It validates the output against the limit and the outputSchema of the type;
// there is no other way to write a result. A large output is written to the store first; if
// the Process does not refer to it afterwards, the sweeper deletes it. p may come from a
// cache. Commit returns a NotFound error if the Process with this UID does not exist any
// more.
func (w *Writer) Commit(ctx context.Context, p *v1alpha1.Process, r agentapi.Result, jobName string) error {
	t, err := w.typeOf(ctx, p)
	if err != nil {
		return err
	}
	if r.Complete() {
		r = w.checkOutput(t, r)
	}
	var stored v1alpha1.StoredPayload
	for {
		if p.Finished() {
			return nil
		}
		if len(r.Output) > payload.MaxInlineBytes && stored.IsZero() {
			if stored, err = payload.Put(ctx, w.Objects, p, []byte(r.Output)); err != nil {
				return err
			}
		}
		status := processstatus.Terminal(p, t, r, jobName, w.Clock.Now())
		if !stored.IsZero() {
			status.Output, status.StoredOutput = "", stored
		}
		err := statuspatch.ApplyLocked(ctx, w.Client, p, status)
		if err == nil {
			logf.FromContext(ctx).Info("process finished", "process", p.Name, "state", status.State,
				"errorCode", r.ErrorCode, "attempts", r.Attempt)
			return nil
		}
		if !apierrors.IsConflict(err) {
			return fmt.Errorf("patch process status: %w", err)
		}
		if p, err = payload.ReadNewest(ctx, w.Live, p); err != nil {
			return err
		}
	}
}

// typeOf returns the current type of the Process; nil if it was deleted.
func (w *Writer) typeOf(ctx context.Context, p *v1alpha1.Process) (*v1alpha1.ProcessType, error) {
	key := client.ObjectKey{Namespace: p.Namespace, Name: p.Spec.Type}
	t := &v1alpha1.ProcessType{}
	err := w.Client.Get(ctx, key, t)
	switch {
	case err == nil:
		return t, nil
	case apierrors.IsNotFound(err):
		w.Rules.Forget(key)
		return nil, nil
	}
	return nil, fmt.Errorf("get process type: %w", err)
}

// anyOutput are the rules for the output of a type that was deleted: it has to be a
// JSON object.
var anyOutput = rules.New(&v1alpha1.ProcessType{Spec: v1alpha1.ProcessTypeSpec{Limits: v1alpha1.Limits{OutputBytes: math.MaxInt32}}})

// checkOutput returns r, or an error result if the type does not allow the output. t is
// nil if the type was deleted. The agent has checked the output too, but anyone with the
// token of a worker can send a result.
func (w *Writer) checkOutput(t *v1alpha1.ProcessType, r agentapi.Result) agentapi.Result {
	allowed := anyOutput
	if t != nil {
		allowed = w.Rules.Of(t)
	}
	// Any other error means that a new outputSchema does not compile. The condition
	// Accepted of the type reports that. The result is kept.
	if v, ok := errors.AsType[*rules.Violation](allowed.CheckOutput([]byte(r.Output))); ok {
		return r.Failed(v.Code, v.Details)
	}
	return r
}
