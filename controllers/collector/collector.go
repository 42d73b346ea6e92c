// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

// Package collector is the endpoint for agents. An agent gets the input of its process
// from it, and delivers progress and the result to it. It runs on every replica of the
// operator, not only on the leader.
package collector

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/cache"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	logf "sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"procman.dev/procman/api/v1alpha1"
	"procman.dev/procman/controllers/internal/statuspatch"
	"procman.dev/procman/controllers/internal/terminal"
	"procman.dev/procman/internal/agentapi"
	"procman.dev/procman/internal/agentapi/agentserver"
	"procman.dev/procman/internal/errorcode"
	"procman.dev/procman/internal/payload"
	"procman.dev/procman/internal/store"
)

// Collector implements agentserver.Collector for the pods of a cluster.
type Collector struct {
	// Client reads from the operator's caches and writes. Live reads from the API server.
	Client client.Client
	Live   client.Reader
	Clock  clock.PassiveClock
	// Objects has the large inputs.
	Objects *store.Store
	// Writer commits the results.
	Writer *terminal.Writer
	// Namespace is that of the Processes, Jobs and pods.
	Namespace string
	// ServiceAccount is the workers' service account in that namespace.
	ServiceAccount string
	// Listener is where agents are served.
	Listener net.Listener

	// identities has the identity of each reviewed token. Its keys are the SHA-256 sums of
	// the tokens.
	identities *cache.LRUExpireCache
	writes     *writes
}

// SetupWithManager adds the server to the manager. A manager.Server without
// OnlyServeWhenLeader runs on every replica.
func (c *Collector) SetupWithManager(mgr manager.Manager) error {
	return mgr.Add(&manager.Server{Name: "collector", Server: agentserver.NewServer(c.handler()), Listener: c.Listener})
}

func (c *Collector) handler() *agentserver.Handler {
	c.identities = cache.NewLRUExpireCacheWithClock(maxIdentities, c.Clock)
	c.writes = newWrites(c.Clock)
	return agentserver.New(c, logRefusal)
}

// logRefusal logs a request that was answered with an error. There can be thousands of
// progress reports that come too soon, so these are logged at V(1).
func logRefusal(r *http.Request, status int, cause error) {
	log := logf.FromContext(r.Context()).WithName("collector")
	if errors.Is(cause, agentapi.ErrTooSoon) {
		log = log.V(1)
	}
	log.Info("request refused", "path", r.URL.Path, "status", status, "cause", cause.Error())
}

// Attempt returns the attempt of the pod that the token is bound to.
func (c *Collector) Attempt(ctx context.Context, token string) (agentserver.Attempt, error) {
	id, err := c.authenticate(ctx, token)
	if err != nil {
		return nil, err
	}
	a, err := c.find(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("pod %s: %w", id.podName, err)
	}
	return a, nil
}

// ID is the pod's UID.
func (a *attempt) ID() string { return string(a.pod) }

// Input returns the process's input, or an agentapi.TooEarly if the attempt is not due
// yet. Only the first request of a pod writes the start time.
func (a *attempt) Input(ctx context.Context) (agentapi.Input, error) {
	if wait := a.due.Sub(a.collector.Clock.Now()); wait > 0 {
		return agentapi.Input{}, &agentapi.TooEarly{Wait: wait}
	}
	in, err := a.content(ctx, agentapi.Input{
		ProcessID: a.process.Name, ProcessType: a.process.Spec.Type, Attempt: a.number, Timeout: a.timeout,
	})
	if err != nil {
		return agentapi.Input{}, err
	}
	if a.collector.writes.start(a.pod) {
		if err := a.writeStart(ctx); err != nil {
			a.collector.writes.notStarted(a.pod)
			_ = in.Content.Close()
			return agentapi.Input{}, err
		}
	}
	return in, nil
}

// content adds its content to an input. If the store does not have it any more, the process
// ends in error.
func (a *attempt) content(ctx context.Context, in agentapi.Input) (agentapi.Input, error) {
	stored := a.process.Spec.StoredInput
	if stored.IsZero() {
		text, err := payload.InlineInput(ctx, a.collector.Live, a.process)
		return in.WithText(text), overIfNotFound(err)
	}
	content, err := payload.Open(ctx, a.collector.Objects, a.process, stored)
	if errors.Is(err, store.ErrNotFound) {
		return in, a.lostInput(ctx, err)
	}
	in.Content, in.Bytes = &storedInput{content, a, ctx}, int64(stored.Bytes)
	return in, err
}

// storedInput is an input from the store. If it is damaged, the process ends in error.
type storedInput struct {
	io.ReadCloser
	attempt *attempt
	ctx     context.Context //nolint:containedctx // a Reader has no other way to get it
}

func (s *storedInput) Read(p []byte) (int, error) {
	n, err := s.ReadCloser.Read(p)
	if errors.Is(err, store.ErrDamaged) {
		err = s.attempt.lostInput(s.ctx, err)
	}
	return n, err
}

// lostInput ends the process, whose input is not in the store as it was written: no attempt
// can succeed.
func (a *attempt) lostInput(ctx context.Context, cause error) error {
	logf.FromContext(ctx).Error(cause, "the input in the store is lost", "process", a.process.Name)
	failure := agentapi.Failure(errorcode.InternalError, map[string]any{"message": "the input of the process was lost in the object store"})
	if err := a.collector.Writer.Commit(ctx, a.process, failure, a.job.Name); err != nil {
		return overIfNotFound(err)
	}
	return fmt.Errorf("%w: %w", agentapi.ErrOver, cause)
}

// writeStart writes the start time. If the Process was queued, the same write removes
// the condition Launched, so that no second write is necessary.
func (a *attempt) writeStart(ctx context.Context) error {
	start := metav1.NewTime(a.collector.Clock.Now())
	if c := meta.FindStatusCondition(a.process.Status.Conditions, v1alpha1.ConditionLaunched); c != nil && c.Reason == v1alpha1.ReasonQueued {
		others := slices.Clone(a.process.Status.Conditions)
		if meta.RemoveStatusCondition(&others, v1alpha1.ConditionLaunched); len(others) == 0 {
			others = nil // null: the schema does not allow an empty list
		}
		err := statuspatch.ApplyLocked(ctx, a.collector.Client, a.process, map[string]any{"startTime": start, "conditions": others})
		if !apierrors.IsConflict(err) {
			return overIfRefused(err)
		}
		// The Process has changed since it was read. Write the start time only; the process
		// controller removes the condition.
	}
	return a.patch(ctx, "startTime", start)
}

// Result commits the result, unless a later attempt may have a better one.
func (a *attempt) Result(ctx context.Context, r agentapi.Result) error {
	r.Attempt = a.number
	if !r.Final(a.last) {
		return nil
	}
	return overIfNotFound(a.collector.Writer.Commit(ctx, a.process, r, a.job.Name))
}

// Progress writes the percentage to the process's status, if a write is due, and returns
// agentapi.ErrTooSoon otherwise. This limits the writes that one pod can cause.
func (a *attempt) Progress(ctx context.Context, p agentapi.Progress) error {
	last := a.process.Status.PercentComplete
	switch {
	case p.Equals(last): // also if the agent repeats a report because it did not get the response
		return nil
	case !a.collector.writes.progress(a.pod, p, last):
		return agentapi.ErrTooSoon
	}
	return a.patch(ctx, "percentComplete", p.PercentComplete)
}

// patch writes one field of the process's status. It does not need the resourceVersion:
// the schema does not allow a change of the field after the process is terminal.
func (a *attempt) patch(ctx context.Context, field string, value any) error {
	return overIfRefused(statuspatch.Apply(ctx, a.collector.Client, a.process, map[string]any{field: value}))
}

// overIfRefused converts the error of a write to the status of a Process that is terminal
// or deleted into an agentapi.ErrOver.
func overIfRefused(err error) error {
	if apierrors.IsInvalid(err) {
		return fmt.Errorf("%w: %w", agentapi.ErrOver, err)
	}
	return overIfNotFound(err)
}

// overIfNotFound converts a NotFound error of the API server into an agentapi.ErrOver.
func overIfNotFound(err error) error {
	if apierrors.IsNotFound(err) {
		return fmt.Errorf("%w: %w", agentapi.ErrOver, err)
	}
	return err
}
