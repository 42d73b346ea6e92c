// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

// Package injection finds out how the agent gets into the workers' pods of this cluster:
// by image volumes if a probe shows that they work, otherwise by an init container. An
// init container works everywhere, but delays the start of each pod by some tenths of a
// second.
package injection

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"
	logf "sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"procman.dev/procman/api/v1alpha1"
	"procman.dev/procman/controllers/internal/jobspec"
)

// Auto is the operator's setting that lets a Prober choose. A type cannot have it.
const Auto v1alpha1.AgentInjection = "Auto"

// pollInterval is the time between two reads of the probe's pod.
const pollInterval = 500 * time.Millisecond

// Prober tries an image volume once, when its replica becomes the leader, with a pod that
// it deletes afterwards. It keeps the result until the operator ends. The pod runs on one
// node only: if not all nodes support image volumes, set the operator to InitContainer.
type Prober struct {
	// Client writes. Live reads from the API server: the caches do not have the pod.
	Client client.Client
	Live   client.Reader
	// Namespace is that of the workers' pods.
	Namespace string
	Job       jobspec.Config

	works atomic.Bool
}

// SetupWithManager adds the probe to the manager, if the setting is Auto.
func (p *Prober) SetupWithManager(mgr manager.Manager) error {
	if p.Job.AgentInjection != Auto {
		return nil
	}
	return mgr.Add(p)
}

// Injection returns the setting or, if that is Auto, AgentInitContainer until the
// probe has shown that image volumes work.
func (p *Prober) Injection() v1alpha1.AgentInjection {
	switch {
	case p.Job.AgentInjection != Auto:
		return p.Job.AgentInjection
	case p.works.Load():
		return v1alpha1.AgentImageVolume
	}
	return v1alpha1.AgentInitContainer
}

// NeedLeaderElection limits the probe to the replica that launches Jobs.
func (p *Prober) NeedLeaderElection() bool { return true }

// Start runs the probe and returns nil. It is not an error if image volumes do not work
// or cannot be tried: the operator then uses init containers.
func (p *Prober) Start(ctx context.Context) error {
	found := p.probe(ctx)
	p.works.Store(found.works)
	logf.FromContext(ctx).WithName("injection").Info("agent injection chosen", "injection", p.Injection(), "cause", found.cause)
	return nil
}

// probe creates the pod and waits until it has ended, for at most jobspec.ProbeSeconds.
func (p *Prober) probe(ctx context.Context) finding {
	var pod *corev1.Pod
	found := finding{cause: "the probe's pod could not be created"}
	defer func() { p.remove(ctx, pod) }()
	err := wait.PollUntilContextTimeout(ctx, pollInterval, jobspec.ProbeSeconds*time.Second, true, func(ctx context.Context) (bool, error) {
		var err error
		if pod == nil {
			pod, err = p.create(ctx)
		} else {
			err = p.Live.Get(ctx, client.ObjectKeyFromObject(pod), pod)
		}
		switch {
		case apierrors.IsForbidden(err), apierrors.IsInvalid(err), apierrors.IsNotFound(err):
			return false, err
		case err != nil: // perhaps temporary
			found.cause = err.Error()
			return false, nil
		}
		found = examine(pod)
		return found.done, nil
	})
	if err != nil {
		found.cause = fmt.Sprintf("%v: %s", err, found.cause)
	}
	return found
}

// create creates the probe's pod. If an earlier leader left one, it deletes that first
// and returns an error.
func (p *Prober) create(ctx context.Context) (*corev1.Pod, error) {
	pod := jobspec.Probe(p.Namespace, p.Job)
	err := p.Client.Create(ctx, pod)
	if apierrors.IsAlreadyExists(err) {
		old := &corev1.Pod{}
		if err = p.Live.Get(ctx, client.ObjectKeyFromObject(pod), old); err == nil {
			err = p.delete(ctx, old)
		}
		return nil, errors.Join(errors.New("the probe of an earlier leader is being deleted"), client.IgnoreNotFound(err))
	}
	if err != nil {
		return nil, fmt.Errorf("create probe: %w", err)
	}
	return pod, nil
}

// remove deletes the probe's pod, also when ctx has ended.
func (p *Prober) remove(ctx context.Context, pod *corev1.Pod) {
	if pod == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if err := p.delete(ctx, pod); err != nil {
		logf.FromContext(ctx).WithName("injection").Error(err, "delete the probe")
	}
}

func (p *Prober) delete(ctx context.Context, pod *corev1.Pod) error {
	err := p.Client.Delete(ctx, pod, client.Preconditions{UID: &pod.UID})
	if err = client.IgnoreNotFound(err); err != nil && !apierrors.IsConflict(err) {
		return fmt.Errorf("delete probe: %w", err)
	}
	return nil
}
