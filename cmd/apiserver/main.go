// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

// Command apiserver is the HTTP facade of Process Manager.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"time"

	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"

	"procman.dev/procman/apiserver"
	"procman.dev/procman/internal/store"
	_ "procman.dev/procman/internal/store/schemes"
)

func main() {
	if err := run(ctrl.SetupSignalHandler()); err != nil {
		ctrl.Log.Error(err, "apiserver failed")
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	logging := zap.Options{}
	logging.BindFlags(flag.CommandLine) // controller-runtime has registered --kubeconfig
	config, err := parse(flag.CommandLine, os.Args[1:])
	if err != nil {
		return err
	}
	ctrl.SetLogger(zap.New(zap.UseFlagOptions(&logging)))
	kubeconfig, err := ctrl.GetConfig()
	if err != nil {
		return fmt.Errorf("find cluster: %w", err)
	}
	return apiserver.Run(ctx, kubeconfig, config, ctrl.Log)
}

// parse adds the flags of the facade to a flag set, parses the arguments and validates
// them.
func parse(flags *flag.FlagSet, args []string) (apiserver.Config, error) {
	var c apiserver.Config
	flags.StringVar(&c.Namespace, "namespace", "procman", "namespace of the Processes and ProcessTypes")
	flags.StringVar(&c.KeyNamespace, "key-secret-namespace", os.Getenv("POD_NAMESPACE"), "namespace of the Secret with the id keys; $POD_NAMESPACE by default")
	flags.StringVar(&c.Store, "store", "", store.FlagUsage)
	flags.StringVar(&c.BindAddress, "bind-address", ":8080", "address on which the API is served")
	flags.StringVar(&c.HealthBindAddress, "health-bind-address", ":8081", "address on which /livez, /readyz and /metrics are served")
	flags.Int64Var(&c.Limits.Etcd, "max-etcd-bytes", 1<<30, "how many bytes all processes may have in etcd together, 0 for any number")
	flags.Int64Var(&c.Limits.Store, "max-store-bytes", 16<<30, "how many bytes all payloads may have in the store together, 0 for any number")
	flags.IntVar(&c.Limits.Waiting, "max-waiting", 10_000, "how many processes may wait until a worker starts them, 0 for any number")
	drain := flags.Int("drain-seconds", 5, "how long requests are accepted after SIGTERM")
	flags.TextVar(&c.Sunset, "v4-sunset", time.Time{}, "when /v4 stops being served, as an RFC 3339 time; not announced by default")
	origins := flags.String("cors-origins", "", "origins of the web pages whose scripts may use the API, separated by commas, such as https://example.com; * for all, none by default")
	flags.IntVar(&c.MaxConnections, "max-connections", 8000, "how many connections are open at a time, 0 for any number; more wait to be accepted")
	flags.IntVar(&c.MaxWaiters, "max-waiters", apiserver.DefaultMaxWaiters, "how many requests can wait for a change of a process at a time, event streams included")
	flags.Float64Var(&c.Limit.PerSecond, "client-requests-per-second", 0, "how many requests a client can make on average, 0 for any number")
	flags.IntVar(&c.Limit.Burst, "client-burst", 100, "how many requests a client can make at once, if --client-requests-per-second is set")
	flags.StringVar(&c.Limit.AddressHeader, "client-address-header", "", "header in which a trusted proxy sends the client's address, such as X-Forwarded-For; the last address counts. By default, a client is the address of a connection")
	if err := flags.Parse(args); err != nil {
		return c, err
	}
	switch {
	case c.KeyNamespace == "":
		return c, errors.New("--key-secret-namespace and $POD_NAMESPACE are not set, expected one of them")
	case c.Store == "":
		return c, errors.New("--store is not set")
	case c.Limits.Etcd < 0:
		return c, fmt.Errorf("--max-etcd-bytes is %d, expected 0 or more", c.Limits.Etcd)
	case c.Limits.Store < 0:
		return c, fmt.Errorf("--max-store-bytes is %d, expected 0 or more", c.Limits.Store)
	case c.Limits.Waiting < 0:
		return c, fmt.Errorf("--max-waiting is %d, expected 0 or more", c.Limits.Waiting)
	case *drain < 0:
		return c, fmt.Errorf("--drain-seconds is %d, expected 0 or more", *drain)
	case c.MaxConnections < 0:
		return c, fmt.Errorf("--max-connections is %d, expected 0 or more", c.MaxConnections)
	case c.MaxWaiters < 1:
		return c, fmt.Errorf("--max-waiters is %d, expected 1 or more", c.MaxWaiters)
	case c.Limit.PerSecond < 0:
		return c, fmt.Errorf("--client-requests-per-second is %g, expected 0 or more", c.Limit.PerSecond)
	case c.Limit.Burst < 1:
		return c, fmt.Errorf("--client-burst is %d, expected 1 or more", c.Limit.Burst)
	}
	c.Drain = time.Duration(*drain) * time.Second
	if *origins != "" {
		c.Origins = strings.Split(*origins, ",")
	}
	if err := apiserver.CheckOrigins(c.Origins); err != nil {
		return c, fmt.Errorf("--cors-origins: %w", err)
	}
	return c, nil
}
