// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	ctrlmetrics "sigs.k8s.io/controller-runtime/pkg/metrics"

	"procman.dev/procman/apiserver/keyring"
	"procman.dev/procman/apiserver/processes"
)

// Config configures a replica of the facade.
type Config struct {
	// Namespace contains the Processes and the ProcessTypes.
	Namespace string
	// KeyNamespace contains the Secret with the id keys.
	KeyNamespace string
	// BindAddress is where the API is served.
	BindAddress string
	// HealthBindAddress is where /livez, /readyz and /metrics are served.
	HealthBindAddress string
	// Drain is how long requests are accepted after ctx has ended, while /readyz fails.
	Drain time.Duration
	// MaxConnections bounds how many connections are open at a time; more wait to be
	// accepted. 0 means no bound.
	MaxConnections int
	// MaxWaiters is as in Options.
	MaxWaiters int
	// Limit is as in Options.
	Limit Limit
	// Metrics is where metrics are registered and gathered; controller-runtime's
	// registry by default.
	Metrics ctrlmetrics.RegistererGatherer
	// Sunset is as in Options.
	Sunset time.Time
}

// keyTimeout is how long a start waits for the id keys.
const keyTimeout = time.Minute

// Run serves the API until ctx ends, and then drains. It returns an error if it cannot
// start, because an address is in use, the cluster does not know our kinds, or the id
// keys are missing for a minute; and if a part of it fails later.
func Run(ctx context.Context, config *rest.Config, c Config, log logr.Logger) error {
	if c.Metrics == nil {
		c.Metrics = ctrlmetrics.Registry
	}
	ready := &atomic.Bool{}
	health, err := listen(c.HealthBindAddress, 0, probes(ready, c.Metrics), log)
	if err != nil {
		return err
	}
	api, err := listen(c.BindAddress, c.MaxConnections, nil, log)
	if err != nil {
		return errors.Join(err, health.close())
	}
	defer func() { _ = errors.Join(health.close(), api.close()) }()

	// The parts run on after ctx ends, until the last request is answered.
	parts, stop := context.WithCancelCause(context.WithoutCancel(ctx))
	defer stop(nil)
	start := func(part func() error) {
		go func() {
			if err := part(); err != nil {
				stop(err)
			}
		}()
	}
	start(health.serve)

	informers, err := newInformers(parts, config, c.Namespace)
	if err != nil {
		return err
	}
	start(func() error { return informers.cluster.Start(parts) })
	starting, cancel := either(ctx, parts)
	defer cancel()
	ring, err := keyring.Load(starting, log.WithName("keys"), informers.live, c.KeyNamespace, keyTimeout)
	if err != nil {
		return err
	}
	if err := informers.sync(starting); err != nil {
		return err
	}
	start(func() error { ring.Keep(parts, log.WithName("keys")); return nil })
	facade, err := New(Options{
		Namespace: c.Namespace, Processes: processes.NewStore(informers.processes, informers.live, ring, clock.RealClock{}),
		Catalog: informers.catalog, Limit: c.Limit, MaxWaiters: c.MaxWaiters, Log: log.WithName("http"), Metrics: c.Metrics, Sunset: c.Sunset,
	})
	if err != nil {
		return err
	}
	api.http.Handler = facade
	api.http.RegisterOnShutdown(facade.Drain)
	start(api.serve)
	ready.Store(true)
	log.Info("serving", "address", api.listener.Addr().String(), "namespace", c.Namespace)

	select {
	case <-parts.Done():
		return fmt.Errorf("a part of the facade ended: %w", context.Cause(parts))
	case <-ctx.Done():
	}
	ready.Store(false)
	log.Info("draining", "seconds", c.Drain.Seconds())
	select {
	case <-parts.Done():
	case <-time.After(c.Drain): // until load balancers have seen /readyz fail
	}
	return api.shutdown()
}

// either returns a context that ends with the first of two, for its cause.
func either(a, b context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(a)
	stop := context.AfterFunc(b, func() { cancel(context.Cause(b)) })
	return ctx, func() { stop(); cancel(nil) }
}
