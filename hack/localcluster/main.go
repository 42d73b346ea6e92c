// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

// Command localcluster runs a real Kubernetes on this machine: etcd, the control
// plane, a kubelet with containerd and runc, kube-proxy, CNI and CoreDNS. They are
// built from Go modules or come from Debian packages. See docs/local-cluster.md.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
)

// command is a command of the command line.
type command struct {
	args, help string
	run        func(o options) error
}

// options are the flags and arguments of the command line.
type options struct {
	name     string
	forwards forwards
	args     []string
}

var commands = map[string]command{
	"up":         {"", "build what is missing, start the cluster, wait until it is ready", up},
	"down":       {"", "stop the cluster and remove everything it created", down},
	"status":     {"", "print whether the cluster runs, and its addresses", status},
	"load-image": {"TAR...", "load docker-archive tarballs into the node's image store", loadImages},
	"kubeconfig": {"", "print the path of the cluster's kubeconfig", printKubeconfig},
	"build":      {"[PART...]", "build the named parts, by default all, and start nothing", buildNamed},
	"assets":     {"", "build what envtest needs and print its directory (KUBEBUILDER_ASSETS)", printAssets},
	"logs":       {"COMPONENT", "print a component's log", printLog},
	"kill":       {"COMPONENT", "kill -9 a component, which is then restarted (for fault tests)", killComponent},
	"node":       {"", "", runNode}, // started by up, in the background
	"init":       {"", "", runInit}, // started by node, as PID 1 of the cluster's namespaces
}

func main() {
	if len(os.Args) < 2 || commands[os.Args[1]].run == nil {
		usage()
		os.Exit(2)
	}
	o := options{forwards: forwards{}}
	flags := flag.NewFlagSet("localcluster "+os.Args[1], flag.ExitOnError)
	flags.StringVar(&o.name, "name", "dev", "name of the cluster; several can run side by side")
	flags.Var(o.forwards, "forward", "PORT=NODEPORT: serve a NodePort on 127.0.0.1:PORT of this machine; repeatable (up)")
	_ = flags.Parse(os.Args[2:]) // ExitOnError
	o.args = flags.Args()
	if err := checkName(o.name); err != nil {
		fail(err)
	}
	if err := commands[os.Args[1]].run(o); err != nil {
		fail(err)
	}
}

func usage() {
	fmt.Fprintln(os.Stderr, "usage: localcluster COMMAND [--name NAME] [ARGUMENT...]")
	for _, name := range []string{"up", "down", "status", "load-image", "kubeconfig", "build", "assets", "logs", "kill"} {
		fmt.Fprintf(os.Stderr, "  %-22s %s\n", strings.TrimSpace(name+" "+commands[name].args), commands[name].help)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "localcluster:", err)
	os.Exit(1)
}

// errUnsupported is returned on a machine that cannot run the cluster.
var errUnsupported = errors.New("the local cluster needs Linux and root; on another machine, set KUBECONFIG to use a cluster of your own")

// checkName accepts names that fit into the names of interfaces and sockets.
func checkName(name string) error {
	if name == "" || len(name) > 12 || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789") != "" {
		return fmt.Errorf("--name is %q, expected 1 to 12 of a-z and 0-9", name)
	}
	return nil
}
