// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

// Package collector answers the agents: they get their process's input from it, and
// deliver progress and the result to it. It runs on every replica of the operator,
// leader or not.
package collector

import (
	"context"
	"errors"
	"fmt"
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
	"procman.dev/procman/internal/payload"
)

// Collector is the agentserver.Collector of the cluster.
type Collector struct {
	// Client reads from the operator's caches and writes; Live reads past them.
	Client client.Client
	Live   client.Reader
	Clock  clock.PassiveClock
	// Writer commits the results.
	Writer *terminal.Writer
	// Namespace is that of the Processes, Jobs and pods.
	Namespace string
	// ServiceAccount is the workers' service account in that namespace.
	ServiceAccount string
	// Listener is where agents are served.
	Listener net.Listener

	// identities are those of the tokens that were reviewed, by the SHA-256 of the token.
	identities *cache.LRUExpireCache
	writes     *writes
}

// SetupWithManager lets the manager run the server. A manager.Server without
// OnlyServeWhenLeader runs on every replica.
func (c *Collector) SetupWithManager(mgr manager.Manager) error {
	return mgr.Add(&manager.Server{Name: "collector", Server: agentserver.NewServer(c.handler()), Listener: c.Listener})
}

func (c *Collector) handler() *agentserver.Handler {
	c.identities = cache.NewLRUExpireCacheWithClock(maxIdentities, c.Clock)
	c.writes = newWrites(c.Clock)
	return agentserver.New(c, refused)
}

// refused logs a request that was answered with an error. A report of progress that comes
// too soon is not worth a line: there can be thousands.
func refused(r *http.Request, status int, cause error) {
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

// Input returns the process's input, once the attempt is due. It writes the start time
// with the first of several requests only.
func (a *attempt) Input(ctx context.Context) (agentapi.Input, error) {
	if wait := a.due.Sub(a.collector.Clock.Now()); wait > 0 {
		return agentapi.Input{}, &agentapi.TooEarly{Wait: wait}
	}
	input, err := payload.Input(ctx, a.collector.Live, a.process)
	if err != nil {
		return agentapi.Input{}, overIfNotFound(err)
	}
	if a.collector.writes.start(a.pod) {
		if err := a.writeStart(ctx); err != nil {
			a.collector.writes.notStarted(a.pod)
			return agentapi.Input{}, err
		}
	}
	return agentapi.Input{
		ProcessID:   a.process.Name,
		ProcessType: a.process.Spec.Type,
		Attempt:     a.number,
		Timeout:     a.timeout,
		Text:        input,
	}, nil
}

// writeStart writes the start time. If the Process was queued, the same write removes
// its condition, which then costs no write of its own.
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
		// It has changed in the meantime. The process controller removes the condition.
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

// Progress writes the percentage to the process's status, if it is due. So a pod causes
// at most one write each agentapi.ProgressInterval, whatever it sends.
func (a *attempt) Progress(ctx context.Context, p agentapi.Progress) error {
	last := a.process.Status.PercentComplete
	switch {
	case p.Equals(last): // perhaps by this report: the response to an earlier try can be lost
		return nil
	case !a.collector.writes.progress(a.pod, p, last):
		return agentapi.ErrTooSoon
	}
	return a.patch(ctx, "percentComplete", p.PercentComplete)
}

// patch writes one field of the process's status. It needs no lock: the schema refuses to
// change the field of a process that is terminal.
func (a *attempt) patch(ctx context.Context, field string, value any) error {
	return overIfRefused(statuspatch.Apply(ctx, a.collector.Client, a.process, map[string]any{field: value}))
}

// overIfRefused makes the error of a write to the status of a Process that is terminal or
// deleted an agentapi.ErrOver.
func overIfRefused(err error) error {
	if apierrors.IsInvalid(err) {
		return fmt.Errorf("%w: %w", agentapi.ErrOver, err)
	}
	return overIfNotFound(err)
}

// overIfNotFound makes a NotFound error of the API server an agentapi.ErrOver.
func overIfNotFound(err error) error {
	if apierrors.IsNotFound(err) {
		return fmt.Errorf("%w: %w", agentapi.ErrOver, err)
	}
	return err
}
