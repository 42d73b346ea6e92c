// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

// Package controllers assembles the operator: its controllers, the parts that they
// share, its settings, and what its caches contain.
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
	"procman.dev/procman/controllers/expiration"
	"procman.dev/procman/controllers/injection"
	"procman.dev/procman/controllers/internal/jobpods"
	"procman.dev/procman/controllers/internal/ledger"
	"procman.dev/procman/controllers/internal/registry"
	"procman.dev/procman/controllers/internal/terminal"
	"procman.dev/procman/controllers/process"
	"procman.dev/procman/controllers/processtype"
	"procman.dev/procman/controllers/sweeper"
	"procman.dev/procman/internal/rules"
	"procman.dev/procman/internal/store"
)

// component is a part of the operator: a controller, or something else that the
// manager runs.
type component interface {
	SetupWithManager(mgr manager.Manager) error
}

// Setup adds all components of the operator to a manager whose cache was created
// with CacheOptions. The collector serves agents on the listener agents. The metrics of
// the operator are registered with metrics.
func Setup(ctx context.Context, mgr manager.Manager, o Options, agents net.Listener, metrics prometheus.Registerer) error {
	policy, err := processtype.NewPolicy(o.PodSecurity)
	if err != nil {
		return fmt.Errorf("pod security: %w", err)
	}
	// The controllers would start these informers too, but only on the leader. The
	// collector needs them on every replica.
	for _, kind := range []client.Object{&v1alpha1.Process{}, &v1alpha1.ProcessType{}, &batchv1.Job{}, &corev1.Pod{}, &coordinationv1.Lease{}} {
		if _, err := mgr.GetCache().GetInformer(ctx, kind, cache.BlockUntilSynced(false)); err != nil {
			return fmt.Errorf("get informer of %T: %w", kind, err)
		}
	}
	if err := jobpods.AddIndex(ctx, mgr.GetFieldIndexer()); err != nil {
		return err
	}
	objects, err := store.Open(ctx, o.Store)
	if err != nil {
		return err
	}
	monitor, err := store.NewMonitor(objects, mgr.GetLogger().WithName("store"), metrics)
	if err != nil {
		return err
	}
	if err := mgr.Add(monitor); err != nil {
		return fmt.Errorf("add the monitor of the store: %w", err)
	}
	c, live, now := mgr.GetClient(), mgr.GetAPIReader(), clock.RealClock{}
	typeRules := &rules.Cache{}
	writer := &terminal.Writer{Client: c, Live: live, Objects: objects, Clock: now, Rules: typeRules}
	prober := &injection.Prober{Client: c, Live: live, Namespace: o.Namespace, Job: o.Job}
	processLedger := ledger.New(now, o.MaxStarting)
	if err := metrics.Register(processLedger); err != nil {
		return fmt.Errorf("register metrics: %w", err)
	}
	for _, part := range []component{
		prober,
		&process.Reconciler{
			Client: c, Live: live, Clock: now, Writer: writer, Rules: typeRules, Ledger: processLedger, Job: o.Job, Scheduled: process.NewScheduled(now),
			Injection: prober.Injection, Violations: policy.Violations, KeepComplete: o.KeepCompleteJobs, KeepFailed: o.KeepFailedJobs, Concurrency: o.Concurrency,
		},
		&expiration.Reconciler{Client: c, Clock: now, Concurrency: o.Concurrency},
		&expiration.LeaseReconciler{Client: c, Clock: now, Concurrency: o.Concurrency},
		&processtype.Reconciler{Client: c, Rules: typeRules, Job: o.Job, Policy: policy},
		&processtype.ImageReconciler{Client: c, Live: live, Resolver: &registry.Resolver{}, ServiceAccount: o.Job.ServiceAccount},
		&processtype.CountReconciler{Client: c, Ledger: processLedger},
		&collector.Collector{
			Client: c, Live: live, Objects: objects, Clock: now, Writer: writer,
			Namespace: o.Namespace, ServiceAccount: o.Job.ServiceAccount, Listener: agents,
		},
		&sweeper.Sweeper{Client: c, Live: live, Objects: objects, Namespace: o.Namespace},
	} {
		if err := part.SetupWithManager(mgr); err != nil {
			return fmt.Errorf("set up %T: %w", part, err)
		}
	}
	return nil
}
