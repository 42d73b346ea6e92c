// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

// Command operator runs the controllers and the collector.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	metricsregistry "sigs.k8s.io/controller-runtime/pkg/metrics"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"procman.dev/procman/api/v1alpha1"
	"procman.dev/procman/controllers"
	_ "procman.dev/procman/internal/store/schemes"
)

func main() {
	if err := run(ctrl.SetupSignalHandler(), flag.CommandLine, os.Args[1:]); err != nil {
		ctrl.Log.Error(err, "operator stopped")
		os.Exit(1)
	}
}

// options are the settings of the program.
type options struct {
	controllers.Options
	// The addresses to listen on.
	collectorAddress, metricsAddress, healthAddress string
	leaderElect                                     bool
	logging                                         zap.Options
}

func (o *options) addFlags(f *flag.FlagSet) {
	o.AddFlags(f)
	f.StringVar(&o.collectorAddress, "collector-bind-address", ":8090", "address at which agents are served")
	f.StringVar(&o.metricsAddress, "metrics-bind-address", ":8080", "address of /metrics; 0 turns it off")
	f.StringVar(&o.healthAddress, "health-bind-address", ":8081", "address of /livez and /readyz")
	f.BoolVar(&o.leaderElect, "leader-elect", true, "let only one replica at a time run the controllers")
	o.logging.BindFlags(f)
}

func run(ctx context.Context, flags *flag.FlagSet, args []string) error {
	var o options
	o.addFlags(flags)
	if err := flags.Parse(args); err != nil {
		return err
	}
	ctrl.SetLogger(zap.New(zap.UseFlagOptions(&o.logging)))
	if err := o.Validate(); err != nil {
		return err
	}
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		return fmt.Errorf("build scheme: %w", err)
	}
	config, err := ctrl.GetConfig()
	if err != nil {
		return fmt.Errorf("find cluster: %w", err)
	}
	config.QPS = -1 // no limit: the API server limits its clients
	listener, err := net.Listen("tcp", o.collectorAddress)
	if err != nil {
		return fmt.Errorf("listen for agents: %w", err)
	}
	mgr, err := ctrl.NewManager(config, ctrl.Options{
		Scheme:                        scheme,
		Cache:                         controllers.CacheOptions(o.Namespace),
		Metrics:                       server.Options{BindAddress: o.metricsAddress},
		HealthProbeBindAddress:        o.healthAddress,
		LivenessEndpointName:          "/livez",
		LeaderElection:                o.leaderElect,
		LeaderElectionID:              "procman-operator",
		LeaderElectionReleaseOnCancel: true,
	})
	if err != nil {
		return fmt.Errorf("create manager: %w", err)
	}
	if err := errors.Join(mgr.AddHealthzCheck("ping", healthz.Ping), mgr.AddReadyzCheck("caches", cachesFilled(mgr.GetCache()))); err != nil {
		return fmt.Errorf("add probes: %w", err)
	}
	if err := controllers.Setup(ctx, mgr, o.Options, listener, metricsregistry.Registry); err != nil {
		return err
	}
	return mgr.Start(ctx)
}

// cachesFilled returns a check that fails until all caches are filled.
func cachesFilled(c cache.Cache) healthz.Checker {
	return func(r *http.Request) error {
		ctx, cancel := context.WithTimeout(r.Context(), time.Second)
		defer cancel()
		if !c.WaitForCacheSync(ctx) {
			return errors.New("caches are not filled yet")
		}
		return nil
	}
}
