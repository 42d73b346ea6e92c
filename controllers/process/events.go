// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package process

import (
	"context"
	"slices"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"procman.dev/procman/api/v1alpha1"
	"procman.dev/procman/controllers/internal/ledger"
	"procman.dev/procman/controllers/internal/outcome"
)

type requests = workqueue.TypedRateLimitingInterface[reconcile.Request]

// ledgerSource fills the ledger from the informers of Processes, ProcessTypes and
// Jobs, and requests a reconciliation of the Processes that an event concerns.
type ledgerSource struct {
	ledger  *ledger.Ledger
	sources []source.SyncingSource
}

var _ source.SyncingSource = (*ledgerSource)(nil)

func (r *Reconciler) ledgerSource(c cache.Cache) *ledgerSource {
	return &ledgerSource{ledger: r.Ledger, sources: []source.SyncingSource{
		source.Kind(c, &v1alpha1.Process{}, r.processEvents()),
		source.Kind(c, &v1alpha1.ProcessType{}, r.typeEvents()),
		source.Kind(c, &batchv1.Job{}, r.jobEvents()),
		source.Kind(c, &corev1.Pod{}, r.podEvents()),
	}}
}

// Start implements source.Source. It does not block.
func (s *ledgerSource) Start(ctx context.Context, q requests) error {
	for _, informer := range s.sources {
		if err := informer.Start(ctx, q); err != nil {
			return err
		}
	}
	go s.tick(ctx, q)
	return nil
}

// tick tells the ledger once a second that time has passed, until ctx ends.
func (s *ledgerSource) tick(ctx context.Context, q requests) {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			wake(q, s.ledger.Tick())
		}
	}
}

// WaitForSync implements source.SyncingSource: controller-runtime calls it before
// the first Reconcile. It opens the ledger when the caches are filled and the
// handlers below have received everything that the caches contain.
func (s *ledgerSource) WaitForSync(ctx context.Context) error {
	for _, informer := range s.sources {
		if err := informer.WaitForSync(ctx); err != nil {
			return err
		}
	}
	if ctx.Err() == nil { // WaitForSync of a Kind returns nil if ctx ends
		s.ledger.Open()
	}
	return nil
}

// processEvents records a Process before it requests the reconciliation, so that
// Reconcile finds the record. It also requests those Processes that are admitted
// because of the event; the others in the queue are not woken.
func (r *Reconciler) processEvents() handler.TypedEventHandler[*v1alpha1.Process, reconcile.Request] {
	record := func(ctx context.Context, p *v1alpha1.Process) []types.NamespacedName {
		return r.Ledger.Observe(p, !p.Finished() && r.hasJob(ctx, p))
	}
	// A Process must not be requested twice: if a goroutine has already taken the first
	// request from the queue, the second one causes another reconciliation.
	addOnce := func(admitted []types.NamespacedName, p *v1alpha1.Process) []types.NamespacedName {
		if key := client.ObjectKeyFromObject(p); !slices.Contains(admitted, key) {
			return append(admitted, key)
		}
		return admitted
	}
	return handler.TypedFuncs[*v1alpha1.Process, reconcile.Request]{
		CreateFunc: func(ctx context.Context, e event.TypedCreateEvent[*v1alpha1.Process], q requests) {
			wake(q, addOnce(record(ctx, e.Object), e.Object))
		},
		UpdateFunc: func(ctx context.Context, e event.TypedUpdateEvent[*v1alpha1.Process], q requests) {
			keys := record(ctx, e.ObjectNew)
			if !ownStatusWrite(e.ObjectOld, e.ObjectNew) {
				keys = addOnce(keys, e.ObjectNew)
			}
			wake(q, keys)
		},
		DeleteFunc: func(_ context.Context, e event.TypedDeleteEvent[*v1alpha1.Process], q requests) {
			wake(q, r.Ledger.Forget(client.ObjectKeyFromObject(e.Object), e.Object.UID))
		},
	}
}

// ownStatusWrite reports whether an update only changed the condition Launched. The
// operator wrote that itself, and nothing follows from it. Without this check, a Job
// that is refused with a different message each time would be created again immediately
// after each refusal.
func ownStatusWrite(before, after *v1alpha1.Process) bool {
	return before.UID == after.UID && !after.Finished() && after.DeletionTimestamp == nil && launchedMessage(before) != launchedMessage(after)
}

// launchedMessage is why a Process has no Job; empty if it has one.
func launchedMessage(p *v1alpha1.Process) string {
	if c := launched(p); c != nil {
		return c.Message
	}
	return ""
}

// hasJob reports whether the cache contains the Job of a Process. If the cache receives
// the Job later, jobEvents records it.
func (r *Reconciler) hasJob(ctx context.Context, p *v1alpha1.Process) bool {
	job := &batchv1.Job{}
	return r.Client.Get(ctx, client.ObjectKeyFromObject(p), job) == nil && metav1.IsControlledBy(job, p)
}

// jobEvents records Jobs. It requests those Processes that are admitted because of the
// event. The watch of Jobs in SetupWithManager requests the Process of the Job.
func (r *Reconciler) jobEvents() handler.TypedEventHandler[*batchv1.Job, reconcile.Request] {
	record := func(job *batchv1.Job, exists bool, q requests) {
		if owner := metav1.GetControllerOf(job); owner != nil {
			wake(q, r.Ledger.ObserveJob(client.ObjectKey{Namespace: job.Namespace, Name: owner.Name}, owner.UID, exists, outcome.Suspended(job)))
		}
	}
	return handler.TypedFuncs[*batchv1.Job, reconcile.Request]{
		CreateFunc: func(_ context.Context, e event.TypedCreateEvent[*batchv1.Job], q requests) { record(e.Object, true, q) },
		UpdateFunc: func(_ context.Context, e event.TypedUpdateEvent[*batchv1.Job], q requests) {
			record(e.ObjectNew, true, q)
		},
		DeleteFunc: func(_ context.Context, e event.TypedDeleteEvent[*batchv1.Job], q requests) {
			record(e.Object, false, q)
		},
	}
}

// podEvents records when pods were scheduled. It requests no reconciliation: the watch of
// pods in SetupWithManager does that.
func (r *Reconciler) podEvents() handler.TypedEventHandler[*corev1.Pod, reconcile.Request] {
	return handler.TypedFuncs[*corev1.Pod, reconcile.Request]{
		CreateFunc: func(_ context.Context, e event.TypedCreateEvent[*corev1.Pod], _ requests) {
			r.Scheduled.Observe(e.Object)
		},
		UpdateFunc: func(_ context.Context, e event.TypedUpdateEvent[*corev1.Pod], _ requests) {
			r.Scheduled.Observe(e.ObjectNew)
		},
	}
}

// typeEvents records types. If a type was created or deleted, or if its spec or its
// conditions changed, it requests all Processes of the type that have no Job yet.
// Otherwise it requests those that are now admitted.
func (r *Reconciler) typeEvents() handler.TypedEventHandler[*v1alpha1.ProcessType, reconcile.Request] {
	register := func(t *v1alpha1.ProcessType) []types.NamespacedName {
		return r.Ledger.Register(client.ObjectKeyFromObject(t), int(t.Spec.MaxConcurrent))
	}
	return handler.TypedFuncs[*v1alpha1.ProcessType, reconcile.Request]{
		CreateFunc: func(_ context.Context, e event.TypedCreateEvent[*v1alpha1.ProcessType], q requests) {
			register(e.Object)
			wake(q, r.Ledger.Unlaunched(client.ObjectKeyFromObject(e.Object)))
		},
		UpdateFunc: func(_ context.Context, e event.TypedUpdateEvent[*v1alpha1.ProcessType], q requests) {
			keys := register(e.ObjectNew)
			if e.ObjectOld.Generation != e.ObjectNew.Generation || !equality.Semantic.DeepEqual(e.ObjectOld.Status.Conditions, e.ObjectNew.Status.Conditions) {
				keys = r.Ledger.Unlaunched(client.ObjectKeyFromObject(e.ObjectNew))
			}
			wake(q, keys)
		},
		DeleteFunc: func(_ context.Context, e event.TypedDeleteEvent[*v1alpha1.ProcessType], q requests) {
			key := client.ObjectKeyFromObject(e.Object)
			r.Rules.Forget(key)
			wake(q, r.Ledger.Unregister(key))
		},
	}
}

// wake requests the reconciliation of Processes.
func wake(q requests, keys []types.NamespacedName) {
	for _, key := range keys {
		q.Add(reconcile.Request{NamespacedName: key})
	}
}
