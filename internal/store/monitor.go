// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
)

// checkInterval is how often a Monitor checks the store.
const checkInterval = 10 * time.Second

// Monitor checks whether the store can be reached. It is a Runnable of controller-runtime's
// manager.
type Monitor struct {
	check       func(context.Context) error
	log         logr.Logger
	unreachable atomic.Bool
}

// NewMonitor returns a Monitor of a store, and registers the metric
// procman_store_reachable.
func NewMonitor(s *Store, log logr.Logger, metrics prometheus.Registerer) (*Monitor, error) {
	m := &Monitor{check: s.Check, log: log}
	err := metrics.Register(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "procman_store_reachable",
		Help: "Whether the object store could be reached at the last check, 10 s ago or less: 1 or 0.",
	}, func() float64 {
		if m.Reachable() {
			return 1
		}
		return 0
	}))
	if err != nil {
		return nil, fmt.Errorf("register metrics: %w", err)
	}
	return m, nil
}

// Reachable reports whether the last check succeeded. It is true before the first check.
func (m *Monitor) Reachable() bool { return !m.unreachable.Load() }

// NeedLeaderElection is false: every replica checks.
func (m *Monitor) NeedLeaderElection() bool { return false }

// Start checks the store until ctx ends. It logs each change.
func (m *Monitor) Start(ctx context.Context) error {
	for {
		err := m.check(ctx)
		if ctx.Err() != nil {
			return nil
		}
		switch was := m.unreachable.Swap(err != nil); {
		case err != nil && !was:
			m.log.Error(err, "the object store cannot be reached; large payloads fail until it can")
		case err == nil && was:
			m.log.Info("the object store can be reached again")
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(checkInterval):
		}
	}
}
