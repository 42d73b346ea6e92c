// Package delivery finds out how the agent best gets into the workers' pods of
// this cluster: by image volumes where they are seen to work, otherwise by an init
// container, which works everywhere and costs a pod some tenths of a second.
package delivery

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

// Auto is the setting that leaves the choice to a Prober. No type can say it.
const Auto v1alpha1.AgentDelivery = "Auto"

// pollInterval is how often the probe's pod is looked at.
const pollInterval = 500 * time.Millisecond

// Prober tries image volumes out once, when its replica becomes the leader, by a
// pod of its own that it deletes again. What it finds holds as long as it lives.
// One node has answered for all: where nodes differ, the setting has to say
// InitContainer.
type Prober struct {
	// Client writes; Live reads past the cache, which holds no such pods.
	Client client.Client
	Live   client.Reader
	// Namespace is the workers' own.
	Namespace string
	Job       jobspec.Config

	works atomic.Bool
}

// SetupWithManager lets the manager run the probe, if the setting is Auto.
func (p *Prober) SetupWithManager(_ context.Context, mgr manager.Manager) error {
	if p.Job.AgentDelivery != Auto {
		return nil
	}
	return mgr.Add(p)
}

// Delivery returns the setting or, if that is Auto, AgentInitContainer until the
// probe has shown that image volumes work.
func (p *Prober) Delivery() v1alpha1.AgentDelivery {
	switch {
	case p.Job.AgentDelivery != Auto:
		return p.Job.AgentDelivery
	case p.works.Load():
		return v1alpha1.AgentImageVolume
	}
	return v1alpha1.AgentInitContainer
}

// NeedLeaderElection keeps the replicas that launch nothing from probing.
func (p *Prober) NeedLeaderElection() bool { return true }

// Start probes and returns. That image volumes do not work, or cannot be tried, is
// no error.
func (p *Prober) Start(ctx context.Context) error {
	found := p.probe(ctx)
	p.works.Store(found.works)
	logf.FromContext(ctx).WithName("delivery").Info("agent delivery chosen", "delivery", p.Delivery(), "cause", found.why)
	return nil
}

// probe runs the pod until it has said what there is to say, for at most
// jobspec.ProbeSeconds.
func (p *Prober) probe(ctx context.Context) verdict {
	var pod *corev1.Pod
	found := verdict{why: "no probe could be made"}
	defer func() { p.remove(ctx, pod) }()
	err := wait.PollUntilContextTimeout(ctx, pollInterval, jobspec.ProbeSeconds*time.Second, true, func(ctx context.Context) (bool, error) {
		var err error
		if pod == nil {
			pod, err = p.create(ctx)
		} else {
			err = p.read(ctx, pod)
		}
		switch {
		case apierrors.IsForbidden(err), apierrors.IsInvalid(err), apierrors.IsNotFound(err):
			return false, err
		case err != nil: // what may pass
			found.why = err.Error()
			return false, nil
		}
		found = judge(pod)
		return found.over, nil
	})
	if err != nil {
		found.why = fmt.Sprintf("%v: %s", err, found.why)
	}
	return found
}

// create makes the probe's pod. One of an earlier leader, that was cut off, has to
// go first.
func (p *Prober) create(ctx context.Context) (*corev1.Pod, error) {
	pod := jobspec.Probe(p.Namespace, p.Job)
	err := p.Client.Create(ctx, pod)
	if apierrors.IsAlreadyExists(err) {
		old := &corev1.Pod{}
		if err = p.Live.Get(ctx, client.ObjectKeyFromObject(pod), old); err == nil {
			err = p.delete(ctx, old)
		}
		return nil, errors.Join(errors.New("an earlier probe is being removed"), client.IgnoreNotFound(err))
	}
	if err != nil {
		return nil, fmt.Errorf("create probe: %w", err)
	}
	return pod, nil
}

// read reads the probe's pod anew; another of that name is not it.
func (p *Prober) read(ctx context.Context, pod *corev1.Pod) error {
	uid := pod.UID
	if err := p.Live.Get(ctx, client.ObjectKeyFromObject(pod), pod); err != nil {
		return fmt.Errorf("read probe: %w", err)
	}
	if pod.UID != uid {
		return apierrors.NewNotFound(corev1.Resource("pods"), pod.Name)
	}
	return nil
}

// remove removes the probe's pod, also when ctx has ended.
func (p *Prober) remove(ctx context.Context, pod *corev1.Pod) {
	if pod == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if err := p.delete(ctx, pod); err != nil {
		logf.FromContext(ctx).WithName("delivery").Error(err, "remove the probe")
	}
}

func (p *Prober) delete(ctx context.Context, pod *corev1.Pod) error {
	err := p.Client.Delete(ctx, pod, client.Preconditions{UID: &pod.UID})
	if err = client.IgnoreNotFound(err); err != nil && !apierrors.IsConflict(err) {
		return fmt.Errorf("delete probe: %w", err)
	}
	return nil
}
