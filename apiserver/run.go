package apiserver

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/client-go/rest"
	ctrlmetrics "sigs.k8s.io/controller-runtime/pkg/metrics"

	"procman.dev/procman/apiserver/keyring"
)

// Config is how a replica of the facade runs.
type Config struct {
	// Namespace holds the Processes and ProcessTypes.
	Namespace string
	// KeyNamespace holds the Secret with the id keys.
	KeyNamespace string
	// BindAddress is where the API is served.
	BindAddress string
	// HealthBindAddress is where /livez, /readyz and /metrics are.
	HealthBindAddress string
	// Drain is how long requests are still taken, while /readyz says no, before
	// the listener closes.
	Drain time.Duration
	// MaxConnections is how many connections are open at once; more wait to be
	// accepted. There is no limit when it is 0.
	MaxConnections int
	// MaxWaiters is as in Options.
	MaxWaiters int
	// Limit is as in Options.
	Limit Limit
	// Metrics is where metrics are registered and gathered; controller-runtime's
	// registry when nil.
	Metrics ctrlmetrics.RegistererGatherer
	// Sunset is as in Options.
	Sunset time.Time
}

// keyPatience is how long a start waits for the id keys before it gives up.
const keyPatience = time.Minute

// Run serves the API until ctx ends, and then drains. It returns an error when
// it cannot start, because an address is taken, the cluster does not know our
// kinds, or the id keys cannot be had within a minute; and when a part of it
// fails later.
func Run(ctx context.Context, config *rest.Config, c Config, log logr.Logger) error {
	if c.Metrics == nil {
		c.Metrics = ctrlmetrics.Registry
	}
	ready := &readiness{}
	health, err := listen(c.HealthBindAddress, 0, probes(ready, c.Metrics), log)
	if err != nil {
		return err
	}
	api, err := listen(c.BindAddress, c.MaxConnections, nil, log)
	if err != nil {
		return errors.Join(err, health.close())
	}
	defer func() { _ = errors.Join(health.close(), api.close()) }()

	// The parts outlive ctx until the last request is answered.
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

	kube, err := connect(parts, config, c.Namespace)
	if err != nil {
		return err
	}
	start(func() error { return kube.cluster.Start(parts) })
	starting, cancel := both(ctx, parts)
	defer cancel()
	ring, err := keyring.Load(starting, log.WithName("keys"), kube.live, c.KeyNamespace, keyPatience)
	if err != nil {
		return err
	}
	if err := kube.sync(starting); err != nil {
		return err
	}
	start(func() error { ring.Keep(parts, log.WithName("keys")); return nil })
	facade, err := New(Options{
		Namespace: c.Namespace, Cache: kube.processes, Live: kube.live, Types: kube.types, Ring: ring, Limit: c.Limit, MaxWaiters: c.MaxWaiters,
		Log: log.WithName("http"), Metrics: c.Metrics, Sunset: c.Sunset,
	})
	if err != nil {
		return err
	}
	api.http.Handler = facade
	api.http.RegisterOnShutdown(facade.Drain)
	start(api.serve)
	ready.yes.Store(true)
	log.Info("serving", "address", api.listener.Addr().String(), "namespace", c.Namespace)

	select {
	case <-parts.Done():
		return fmt.Errorf("a part of the facade ended: %w", context.Cause(parts))
	case <-ctx.Done():
	}
	ready.yes.Store(false)
	log.Info("draining", "seconds", c.Drain.Seconds())
	select {
	case <-parts.Done():
	case <-time.After(c.Drain): // until load balancers have seen /readyz
	}
	return api.shutdown()
}

// both returns a context that ends with either of two, for its cause.
func both(a, b context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(a)
	stop := context.AfterFunc(b, func() { cancel(context.Cause(b)) })
	return ctx, func() { stop(); cancel(nil) }
}
