// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	ctrlmetrics "sigs.k8s.io/controller-runtime/pkg/metrics"

	"procman.dev/procman/apiserver/keyring"
	"procman.dev/procman/apiserver/processes"
	"procman.dev/procman/internal/store"
)

// Config configures a replica of the facade.
type Config struct {
	// Options configure the Server. Run sets Processes, Catalog, Log and Health. Metrics is
	// controller-runtime's registry by default.
	Options
	// KeyNamespace contains the Secret with the id keys.
	KeyNamespace string
	// Store is the URL of the object store.
	Store string
	// Limits bound what all processes take together.
	Limits processes.Limits
	// BindAddress is where the API is served.
	BindAddress string
	// HealthBindAddress is where /livez, /readyz and /metrics are served.
	HealthBindAddress string
	// Drain is how long requests are accepted after ctx has ended, while /readyz fails.
	Drain time.Duration
	// MaxConnections bounds how many connections are open at a time; more wait to be
	// accepted. 0 means no bound.
	MaxConnections int
}

// keyTimeout is how long a start waits for the id keys.
const keyTimeout = time.Minute

// Run serves the API until ctx ends, and then drains. It returns an error if it cannot
// start, because an address is in use, the cluster does not know our kinds, or the id
// keys are missing for a minute; and if a part of it fails later.
func Run(ctx context.Context, config *rest.Config, c Config, log logr.Logger) error {
	ready := &atomic.Bool{}
	c.Log = log.WithName("http")
	if c.Metrics == nil {
		c.Metrics = ctrlmetrics.Registry
	}
	objects, err := store.Open(ctx, c.Store)
	if err != nil {
		return err
	}
	monitor, err := store.NewMonitor(objects, log.WithName("store"), c.Metrics)
	if err != nil {
		return err
	}
	c.Health = func() Health { return Health{Ready: ready.Load(), StoreReachable: monitor.Reachable()} }
	health, err := newServer("health", c.HealthBindAddress, 0, probes(c.Health, c.Metrics), log)
	if err != nil {
		return err
	}
	defer func() { _ = health.Listener.Close() }()
	api, err := newServer("api", c.BindAddress, c.MaxConnections, nil, log)
	if err != nil {
		return err
	}
	defer func() { _ = api.Listener.Close() }()
	known := processes.NewCache()
	mgr, err := newManager(config, c, known, log)
	if err != nil {
		return err
	}
	informers, err := newInformers(ctx, mgr.GetCache(), known)
	if err != nil {
		return err
	}
	if err := errors.Join(mgr.Add(health), mgr.Add(monitor)); err != nil {
		return err
	}
	// The manager ends this part first, then the informers, and the health server last.
	err = mgr.Add(manager.RunnableFunc(func(ctx context.Context) error {
		ring, err := keyring.Load(ctx, log.WithName("keys"), mgr.GetClient(), c.KeyNamespace, keyTimeout)
		if err != nil {
			return err
		}
		if err := informers.sync(ctx); err != nil {
			return err
		}
		c.Catalog, c.Processes = informers.catalog, processes.NewStore(processes.Config{
			Cache: known, Live: mgr.GetClient(), Ring: ring, Objects: objects, Clock: clock.RealClock{}, MaxConcurrent: informers.catalog.MaxConcurrent, Limits: c.Limits,
		})
		facade, err := New(c.Options)
		if err != nil {
			return err
		}
		api.Server.Handler = facade
		api.Server.RegisterOnShutdown(facade.Drain)
		serving, stop := context.WithCancel(context.WithoutCancel(ctx))
		defer stop()
		context.AfterFunc(ctx, func() {
			ready.Store(false)
			log.Info("draining", "seconds", c.Drain.Seconds())
			time.AfterFunc(c.Drain, stop) // until load balancers have seen /readyz fail
		})
		go ring.Keep(serving, log.WithName("keys"))
		ready.Store(true)
		return api.Start(serving)
	}))
	if err != nil {
		return err
	}
	return mgr.Start(ctx)
}
