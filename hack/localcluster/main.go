// Command localcluster runs a real Kubernetes on this machine: etcd, the control
// plane, a kubelet with containerd and runc, kube-proxy, CNI and CoreDNS, all
// built from Go modules or taken from Debian packages. See docs/local-cluster.md.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
)

// command is one verb of the command line.
type command struct {
	args, help string
	run        func(o options) error
}

// options are what the command line says.
type options struct {
	name     string
	forwards forwards
	args     []string
}

var commands = map[string]command{
	"up":         {"", "build what is missing, start the cluster, wait until it is ready", up},
	"down":       {"", "end the cluster and remove everything it made", down},
	"status":     {"", "say whether the cluster runs, and where", status},
	"load-image": {"TAR...", "bring docker-archive tarballs onto the node", loadImages},
	"kubeconfig": {"", "print the path of the cluster's kubeconfig", printKubeconfig},
	"build":      {"", "build all parts, without starting anything", func(options) error { return buildAll() }},
	"assets":     {"", "build and print the directory that envtest needs (KUBEBUILDER_ASSETS)", printAssets},
	"logs":       {"COMPONENT", "print a component's log", printLog},
	"kill":       {"COMPONENT", "kill -9 a component; it is started again (for fault tests)", killComponent},
	"node":       {"", "", runNode}, // what up starts in the background
	"init":       {"", "", runInit}, // PID 1 of the cluster's namespaces
}

func main() {
	if len(os.Args) < 2 || commands[os.Args[1]].run == nil {
		usage()
		os.Exit(2)
	}
	o := options{forwards: forwards{}}
	flags := flag.NewFlagSet("localcluster "+os.Args[1], flag.ExitOnError)
	flags.StringVar(&o.name, "name", "dev", "which cluster; several live side by side")
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

// errUnsupported is what a machine gets that cannot run the cluster.
var errUnsupported = errors.New("the local cluster needs Linux and root; elsewhere, point KUBECONFIG to a cluster you have")

// checkName keeps names short enough for interface and socket names.
func checkName(name string) error {
	if name == "" || len(name) > 12 || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789") != "" {
		return fmt.Errorf("--name is %q, expected 1 to 12 of a-z and 0-9", name)
	}
	return nil
}
