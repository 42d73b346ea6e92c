// Package controllers puts the operator together: which controllers there are,
// what they share, and what their caches hold.
package controllers

import (
	"context"
	"fmt"
	"net"

	"github.com/prometheus/client_golang/prometheus"
	batchv1 "k8s.io/api/batch/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"procman.dev/procman/api/v1alpha1"
	"procman.dev/procman/controllers/collector"
	"procman.dev/procman/controllers/delivery"
	"procman.dev/procman/controllers/expiration"
	"procman.dev/procman/controllers/internal/jobspec"
	"procman.dev/procman/controllers/internal/queue"
	"procman.dev/procman/controllers/internal/registry"
	"procman.dev/procman/controllers/internal/terminal"
	"procman.dev/procman/controllers/process"
	"procman.dev/procman/controllers/processtype"
	"procman.dev/procman/internal/rules"
)

// DeliveryAuto, as the Job's AgentDelivery, lets the operator find out which one
// the cluster takes.
const DeliveryAuto = delivery.Auto

// JobConfig is what the operator adds to every worker's Job.
type JobConfig = jobspec.Config

// PodSecurity is what workers' pods may be.
type PodSecurity = processtype.Policy

// NewPodSecurity is the Pod Security Standard of a level: restricted, baseline or
// privileged.
func NewPodSecurity(level string) (PodSecurity, error) { return processtype.NewPolicy(level) }

// Options are the operator's settings.
type Options struct {
	// Namespace is where Processes, ProcessTypes and Jobs live.
	Namespace string
	// Job is what is added to every Job.
	Job JobConfig
	// Policy is what the pods of process types may be.
	Policy PodSecurity
	// Concurrency is how many Processes each controller works on at once.
	Concurrency int
	// CollectorListener is where agents are served.
	CollectorListener net.Listener
	// Clock is the real one, but for tests.
	Clock clock.PassiveClock
	// Metrics is where the operator's own metrics are registered.
	Metrics prometheus.Registerer
}

// Setup registers everything with a manager that was made with CacheOptions.
func Setup(ctx context.Context, mgr manager.Manager, o Options) error {
	// The controllers would ask for these, but on the leader alone; the
	// collector needs them on every replica.
	for _, kind := range []client.Object{&v1alpha1.Process{}, &v1alpha1.ProcessType{}, &batchv1.Job{}, &corev1.Pod{}, &coordinationv1.Lease{}} {
		if _, err := mgr.GetCache().GetInformer(ctx, kind, cache.BlockUntilSynced(false)); err != nil {
			return fmt.Errorf("get informer of %T: %w", kind, err)
		}
	}
	c, live := mgr.GetClient(), mgr.GetAPIReader()
	known := &rules.Cache{}
	writer := &terminal.Writer{Client: c, Live: live, Clock: o.Clock, Rules: known}

	turns := queue.New(o.Clock)
	if err := o.Metrics.Register(turns); err != nil {
		return fmt.Errorf("register metrics: %w", err)
	}
	deliver, err := agentDelivery(mgr, o)
	if err != nil {
		return err
	}
	processes := &process.Reconciler{Client: c, Live: live, Clock: o.Clock, Writer: writer, Rules: known, Job: o.Job, Queue: turns, Delivery: deliver, Violations: o.Policy.Violations}
	if err := processes.Setup(ctx, mgr, o.Concurrency); err != nil {
		return fmt.Errorf("set up process controller: %w", err)
	}
	if err := mgr.Add(&process.Positions{Client: c, Queue: turns, Namespace: o.Namespace}); err != nil {
		return fmt.Errorf("add positions: %w", err)
	}
	expirations := &expiration.Reconciler{Client: c, Clock: o.Clock}
	if err := expirations.Setup(mgr, o.Concurrency); err != nil {
		return fmt.Errorf("set up expiration controller: %w", err)
	}
	leases := &expiration.LeaseReconciler{Client: c, Clock: o.Clock}
	if err := leases.Setup(mgr, o.Concurrency); err != nil {
		return fmt.Errorf("set up expiration of idempotency keys: %w", err)
	}
	processTypes := &processtype.Reconciler{Client: c, Job: o.Job, Policy: o.Policy}
	if err := processTypes.Setup(mgr); err != nil {
		return fmt.Errorf("set up process type controller: %w", err)
	}
	images := &processtype.ImageReconciler{Client: c, Live: live, Resolver: &registry.Resolver{}, ServiceAccount: o.Job.ServiceAccount}
	if err := images.Setup(mgr); err != nil {
		return fmt.Errorf("set up image controller: %w", err)
	}
	counts := &processtype.CountReconciler{Client: c}
	if err := counts.Setup(ctx, mgr); err != nil {
		return fmt.Errorf("set up counts of processes: %w", err)
	}
	handler := collector.New(collector.Options{
		Client: c, Live: live, Clock: o.Clock, Writer: writer,
		Namespace: o.Namespace, ServiceAccount: o.Job.ServiceAccount,
	})
	// A manager.Server without OnlyServeWhenLeader runs on every replica.
	if err := mgr.Add(&manager.Server{
		Name: "collector", Server: collector.NewServer(handler), Listener: o.CollectorListener,
	}); err != nil {
		return fmt.Errorf("add collector: %w", err)
	}
	return nil
}

// agentDelivery says how the agent gets into the workers of types that do not
// say: as the settings have it, or as a probe finds out.
func agentDelivery(mgr manager.Manager, o Options) (func() v1alpha1.AgentDelivery, error) {
	if o.Job.AgentDelivery != DeliveryAuto {
		return func() v1alpha1.AgentDelivery { return o.Job.AgentDelivery }, nil
	}
	prober := &delivery.Prober{Client: mgr.GetClient(), Live: mgr.GetAPIReader(), Namespace: o.Namespace, Job: o.Job}
	if err := mgr.Add(prober); err != nil {
		return nil, fmt.Errorf("add probe of image volumes: %w", err)
	}
	return prober.Delivery, nil
}
