// Command apiserver is the HTTP facade of Process Manager.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"time"

	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"

	"procman.dev/procman/apiserver"
)

func main() {
	if err := run(ctrl.SetupSignalHandler()); err != nil {
		ctrl.Log.Error(err, "apiserver ends")
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	var config apiserver.Config
	flag.StringVar(&config.Namespace, "namespace", "procman", "namespace of the Processes and ProcessTypes")
	flag.StringVar(&config.KeyNamespace, "key-secret-namespace", os.Getenv("POD_NAMESPACE"), "namespace of the Secret with the id keys; $POD_NAMESPACE by default")
	flag.StringVar(&config.BindAddress, "bind-address", ":8080", "where the API is served")
	flag.StringVar(&config.HealthBindAddress, "health-bind-address", ":8081", "where /livez, /readyz and /metrics are served")
	drain := flag.Int("drain-seconds", 5, "how long requests are still taken after SIGTERM")
	sunset := flag.String("v4-sunset", "", "when /v4 stops being served, as an RFC 3339 time; not announced by default")
	flag.IntVar(&config.MaxConnections, "max-connections", 12000, "how many connections are open at once, 0 for any number; more wait to be accepted")
	flag.IntVar(&config.MaxWaiters, "max-waiters", apiserver.DefaultMaxWaiters, "how many requests can wait for a change of a process at a time, event streams included")
	flag.Float64Var(&config.Limit.PerSecond, "client-requests-per-second", 0, "how many requests a client may make in the long run; 0 for any number")
	flag.IntVar(&config.Limit.Burst, "client-burst", 100, "how many requests a client may make at once, where --client-requests-per-second limits them")
	flag.StringVar(&config.Limit.AddressHeader, "client-address-header", "", "header in which a trusted proxy gives the client's address, such as X-Forwarded-For; its last address counts. By default, a client is who made the connection")
	logging := zap.Options{}
	logging.BindFlags(flag.CommandLine)
	flag.Parse()
	ctrl.SetLogger(zap.New(zap.UseFlagOptions(&logging)))

	if config.KeyNamespace == "" {
		return errors.New("--key-secret-namespace is not set, and neither is $POD_NAMESPACE")
	}
	if *drain < 0 {
		return fmt.Errorf("--drain-seconds is %d, expected 0 or more", *drain)
	}
	if config.MaxConnections < 0 || config.Limit.PerSecond < 0 || config.Limit.Burst < 1 {
		return errors.New("--max-connections and --client-requests-per-second are to be 0 or more, --client-burst 1 or more")
	}
	if config.MaxWaiters < 1 {
		return fmt.Errorf("--max-waiters is %d, expected 1 or more", config.MaxWaiters)
	}
	config.Drain = time.Duration(*drain) * time.Second
	if *sunset != "" {
		at, err := time.Parse(time.RFC3339, *sunset)
		if err != nil {
			return fmt.Errorf("--v4-sunset: %w", err)
		}
		config.Sunset = at
	}
	kubeconfig, err := ctrl.GetConfig()
	if err != nil {
		return fmt.Errorf("find cluster: %w", err)
	}
	return apiserver.Run(ctx, kubeconfig, config, ctrl.Log)
}
