// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

// Package sweeper deletes the payloads in the object store that no Process refers to: those
// of deleted Processes, and those that a crash left over.
//
// A payload is written before its Process refers to it. So the sweeper deletes only what had
// no owner in two sweeps in a row, and it asks the API server before each delete, because
// its cache can be behind. The time between two sweeps is longer than the time in which a
// write must be done: 90 s for the facade, 30 s for the operator.
package sweeper

import (
	"context"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"
	logf "sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"procman.dev/procman/api/v1alpha1"
	"procman.dev/procman/internal/payload"
	"procman.dev/procman/internal/store"
)

const (
	// interval is the time between two sweeps.
	interval = 2 * time.Minute
	// deletesPerSecond bounds the calls to the API server and to the store.
	deletesPerSecond = 300
	// concurrentDeletes is how many deletes run at a time.
	concurrentDeletes = 8
	// maxSuspects bounds the memory of a Sweeper: about 100 bytes for each. Others wait for
	// a later sweep.
	maxSuspects = 200_000
)

// Sweeper deletes payloads without an owner. It runs on the leader.
type Sweeper struct {
	// Client reads from the operator's cache, Live from the API server.
	Client, Live client.Reader
	Objects      *store.Store
	// Namespace is that of the Processes. Payloads of other namespaces are not touched.
	Namespace string

	// suspects are the keys that had no owner in the last sweep.
	suspects map[string]struct{}
}

// SetupWithManager adds the sweeper to the manager.
func (s *Sweeper) SetupWithManager(mgr manager.Manager) error { return mgr.Add(s) }

// NeedLeaderElection is true: one replica sweeps.
func (s *Sweeper) NeedLeaderElection() bool { return true }

// Start sweeps until ctx ends.
func (s *Sweeper) Start(ctx context.Context) error {
	log := logf.FromContext(ctx).WithName("sweeper")
	wait.UntilWithContext(ctx, func(ctx context.Context) {
		deleted, err := s.sweep(ctx)
		if deleted > 0 {
			log.Info("payloads without a process deleted", "count", deleted)
		}
		if err != nil && ctx.Err() == nil {
			log.Error(err, "sweep the store")
		}
	}, interval)
	return nil
}

// sweep looks at each payload once. It returns how many it deleted, and the first error.
func (s *Sweeper) sweep(ctx context.Context) (deleted int, err error) {
	var mu sync.Mutex
	suspects := map[string]struct{}{}
	suspect := func(key string) {
		mu.Lock()
		defer mu.Unlock()
		if len(suspects) < maxSuspects {
			suspects[key] = struct{}{}
		}
	}
	limiter := rate.NewLimiter(deletesPerSecond, 1)
	deletes, ctx := errgroup.WithContext(ctx)
	deletes.SetLimit(concurrentDeletes)
	for key, err := range s.Objects.Keys(ctx, payload.Prefix+s.Namespace+"/") {
		if err != nil {
			deletes.Go(func() error { return err })
			break
		}
		owner, ok := payload.ParseKey(key)
		if !ok {
			continue
		}
		held, err := holds(ctx, s.Client, owner)
		if err != nil {
			deletes.Go(func() error { return err })
			break
		}
		_, suspected := s.suspects[key]
		switch {
		case held:
			continue
		case !suspected:
			suspect(key)
			continue
		}
		deletes.Go(func() error {
			gone, err := s.delete(ctx, limiter, key, owner)
			mu.Lock()
			defer mu.Unlock()
			if gone {
				deleted++
			}
			return err
		})
	}
	err = deletes.Wait()
	if err != nil { // what was not looked at stays suspected
		for key := range s.suspects {
			suspect(key)
		}
	}
	s.suspects = suspects
	return deleted, err
}

// delete deletes a payload, unless the API server knows its owner.
func (s *Sweeper) delete(ctx context.Context, limiter *rate.Limiter, key string, owner payload.Owner) (deleted bool, err error) {
	if err := limiter.Wait(ctx); err != nil {
		return false, fmt.Errorf("wait for the next delete: %w", err)
	}
	if held, err := holds(ctx, s.Live, owner); held || err != nil {
		return false, err
	}
	if err := s.Objects.Delete(ctx, key); err != nil {
		return false, err
	}
	return true, nil
}

// holds reports whether a Process refers to a payload, whose ID is never empty.
func holds(ctx context.Context, reader client.Reader, owner payload.Owner) (bool, error) {
	p := &v1alpha1.Process{}
	err := reader.Get(ctx, client.ObjectKey{Namespace: owner.Namespace, Name: owner.Name}, p)
	switch {
	case apierrors.IsNotFound(err):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("read process %s: %w", owner.Name, err)
	}
	for _, stored := range []v1alpha1.StoredPayload{p.Spec.StoredInput, p.Status.StoredOutput} {
		if stored.ID == owner.ID {
			return true, nil
		}
	}
	return false, nil
}
