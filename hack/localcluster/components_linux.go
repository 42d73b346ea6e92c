// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"embed"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"text/template"
	"time"
)

// configs are templates of the components' configuration files. Their data is settings.
//
//go:embed config
var configs embed.FS

// settings are the values that the templates use.
type settings struct {
	Dir, CNI, Runc, PodCIDR, DNSIP, Cgroup, Registry string
	Node, NodeIP, User                               string // in kubeconfigs
	Volumes                                          []volume
}

// volume is a volume that a claim can get: a directory of the node.
type volume struct{ Name, Path string }

// makeVolumes creates the directories of the volumes.
func (c *cluster) makeVolumes() ([]volume, error) {
	var volumes []volume
	for _, name := range []string{"local-1", "local-2", "local-3", "local-4"} {
		v := volume{name, c.file("volumes", name)}
		if err := os.MkdirAll(v.Path, 0o700); err != nil {
			return nil, fmt.Errorf("create volume: %w", err)
		}
		// The kubelet does not change the owner of such a volume to that of the pod.
		if err := os.Chmod(v.Path, 0o777); err != nil {
			return nil, fmt.Errorf("create volume: %w", err)
		}
		volumes = append(volumes, v)
	}
	return volumes, nil
}

// writeConfigs writes all files that the components read: certificates,
// kubeconfigs and configuration files.
func (c *cluster) writeConfigs() error {
	registry := c.hostIP() + ":5000"
	for _, dir := range []string{"logs", "cni", "certs.d/" + registry, "pod-logs", "volume-plugins", "kubelet", "etcd"} {
		if err := os.MkdirAll(c.file(dir), 0o700); err != nil {
			return fmt.Errorf("create directory: %w", err)
		}
	}
	volumes, err := c.makeVolumes()
	if err != nil {
		return err
	}
	if err := c.writeCertificates(); err != nil {
		return err
	}
	runc, err := exec.LookPath("runc")
	if err != nil {
		return fmt.Errorf("find runc: %w", err)
	}
	s := settings{
		Dir: c.dir, CNI: filepath.Dir(programPath("bridge")), Runc: runc,
		PodCIDR: podCIDR, DNSIP: dnsIP, Cgroup: c.cgroup(), Registry: registry,
		Node: c.nodeName(), NodeIP: c.nodeIP(), Volumes: volumes,
	}
	for source, target := range map[string]string{
		"containerd.toml": "containerd.toml",
		"kubelet.yaml":    "kubelet.yaml",
		"cni.conflist":    "cni/procman.conflist",
		"registry.toml":   "certs.d/" + registry + "/hosts.toml",
		"resolv.conf":     "resolv.conf",
		"coredns.yaml":    "coredns.yaml",
		"volumes.yaml":    "volumes.yaml",
	} {
		if err := c.writeConfig(source, target, s); err != nil {
			return err
		}
	}
	for user, target := range map[string]string{
		"kube-controller-manager": "kube-controller-manager.kubeconfig",
		"kube-scheduler":          "kube-scheduler.kubeconfig",
		"kube-proxy":              "kube-proxy.kubeconfig",
		"kubelet":                 "kubelet.kubeconfig",
		"admin":                   "kubeconfig",
	} {
		s.User = user
		if err := c.writeConfig("kubeconfig.yaml", target, s); err != nil {
			return err
		}
	}
	return nil
}

// writeConfig writes the file target in the cluster's directory from a template.
func (c *cluster) writeConfig(source, target string, s settings) error {
	var text bytes.Buffer
	if err := template.Must(template.ParseFS(configs, "config/"+source)).Execute(&text, s); err != nil {
		return fmt.Errorf("write %s: %w", target, err)
	}
	return os.WriteFile(c.file(target), text.Bytes(), 0o644)
}

// writeCertificates creates the certificate authority and the certificate of each
// component.
func (c *cluster) writeCertificates() error {
	ca, err := openAuthority(c.file("pki"))
	if err != nil {
		return err
	}
	for _, identity := range []struct {
		name, user string
		groups     []string
		hosts      []string
	}{
		{"etcd", "etcd", nil, []string{"localhost", "127.0.0.1"}},
		{"apiserver", "kube-apiserver", nil, []string{
			"kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local",
			"localhost", "127.0.0.1", c.nodeIP(), serviceIP,
		}},
		{"apiserver-kubelet", "kube-apiserver-kubelet-client", []string{"system:masters"}, nil},
		{"admin", "procman-admin", []string{"system:masters"}, nil},
		{"kube-controller-manager", "system:kube-controller-manager", nil, []string{"localhost", "127.0.0.1"}},
		{"kube-scheduler", "system:kube-scheduler", nil, []string{"localhost", "127.0.0.1"}},
		{"kube-proxy", "system:kube-proxy", nil, nil},
		{"kubelet", "system:node:" + c.nodeName(), []string{"system:nodes"}, []string{c.nodeName(), c.nodeIP(), "127.0.0.1"}},
		{"service-account", "service-account", nil, nil},
	} {
		if err := ca.issue(identity.name, identity.user, identity.groups, identity.hosts...); err != nil {
			return err
		}
	}
	return nil
}

// components returns the programs that the node runs. Their order has no meaning:
// each waits until what it needs is ready.
func (c *cluster) components() []component {
	pki := func(name string) string { return c.file("pki", name) }
	kubeconfig := func(name string) string { return "--kubeconfig=" + c.file(name+".kubeconfig") }
	return []component{
		{name: "etcd", args: []string{
			programPath("etcd"), "--name=default", "--data-dir=" + c.file("etcd", "data"),
			"--listen-client-urls=https://127.0.0.1:2379", "--advertise-client-urls=https://127.0.0.1:2379",
			"--listen-peer-urls=https://127.0.0.1:2380", "--initial-advertise-peer-urls=https://127.0.0.1:2380",
			"--initial-cluster=default=https://127.0.0.1:2380",
			"--client-cert-auth", "--trusted-ca-file=" + pki("ca.crt"), "--cert-file=" + pki("etcd.crt"), "--key-file=" + pki("etcd.key"),
			"--peer-client-cert-auth", "--peer-trusted-ca-file=" + pki("ca.crt"), "--peer-cert-file=" + pki("etcd.crt"), "--peer-key-file=" + pki("etcd.key"),
			"--log-level=warn",
		}},
		{name: "kube-apiserver", args: []string{
			programPath("kube-apiserver"),
			"--advertise-address=" + c.nodeIP(), "--secure-port=6443",
			"--etcd-servers=https://127.0.0.1:2379", "--etcd-cafile=" + pki("ca.crt"), "--etcd-certfile=" + pki("etcd.crt"), "--etcd-keyfile=" + pki("etcd.key"),
			"--tls-cert-file=" + pki("apiserver.crt"), "--tls-private-key-file=" + pki("apiserver.key"), "--client-ca-file=" + pki("ca.crt"),
			"--kubelet-client-certificate=" + pki("apiserver-kubelet.crt"), "--kubelet-client-key=" + pki("apiserver-kubelet.key"),
			"--kubelet-certificate-authority=" + pki("ca.crt"), "--kubelet-preferred-address-types=InternalIP",
			"--service-account-issuer=https://kubernetes.default.svc.cluster.local",
			"--service-account-key-file=" + pki("service-account.crt"), "--service-account-signing-key-file=" + pki("service-account.key"),
			"--service-cluster-ip-range=" + serviceCIDR,
			"--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction",
			"--allow-privileged", "--profiling=false",
		}},
		{name: "kube-controller-manager", ready: c.apiReady(), args: []string{
			programPath("kube-controller-manager"), kubeconfig("kube-controller-manager"),
			"--authentication-kubeconfig=" + c.file("kube-controller-manager.kubeconfig"), "--authorization-kubeconfig=" + c.file("kube-controller-manager.kubeconfig"),
			"--root-ca-file=" + pki("ca.crt"), "--service-account-private-key-file=" + pki("service-account.key"), "--use-service-account-credentials",
			"--cluster-signing-cert-file=" + pki("ca.crt"), "--cluster-signing-key-file=" + pki("ca.key"),
			"--tls-cert-file=" + pki("kube-controller-manager.crt"), "--tls-private-key-file=" + pki("kube-controller-manager.key"),
			"--leader-elect=false",
			// The default, 20 requests per second, delays pods when dozens of Jobs start.
			"--kube-api-qps=200", "--kube-api-burst=400",
		}},
		{name: "kube-scheduler", ready: c.apiReady(), args: []string{
			programPath("kube-scheduler"), kubeconfig("kube-scheduler"),
			"--authentication-kubeconfig=" + c.file("kube-scheduler.kubeconfig"), "--authorization-kubeconfig=" + c.file("kube-scheduler.kubeconfig"),
			"--tls-cert-file=" + pki("kube-scheduler.crt"), "--tls-private-key-file=" + pki("kube-scheduler.key"),
			"--leader-elect=false",
		}},
		{name: "containerd", args: []string{programPath("containerd"), "--config", c.file("containerd.toml"), "--log-level", "warn"},
			env: []string{"PATH=" + filepath.Dir(programPath("containerd")) + ":" + os.Getenv("PATH")}},
		{name: "kubelet", ready: both(c.containerdReady, c.apiReady()), args: []string{
			programPath("kubelet"), kubeconfig("kubelet"), "--config=" + c.file("kubelet.yaml"), "--root-dir=" + c.file("kubelet"),
			"--hostname-override=" + c.nodeName(), "--node-ip=" + c.nodeIP(),
		}},
		{name: "kube-proxy", ready: c.apiReady(), args: []string{
			programPath("kube-proxy"), kubeconfig("kube-proxy"), "--proxy-mode=nftables", "--hostname-override=" + c.nodeName(),
			"--cluster-cidr=" + podCIDR, "--conntrack-max-per-core=0", "--conntrack-tcp-timeout-established=0", "--conntrack-tcp-timeout-close-wait=0",
		}},
	}
}

// apiReady returns a function that reports whether the API server answers. It
// trusts only the certificate authority of this cluster.
func (c *cluster) apiReady() func() bool {
	authorities := x509.NewCertPool()
	if text, err := os.ReadFile(c.file("pki", "ca.crt")); err == nil {
		authorities.AppendCertsFromPEM(text)
	}
	client := &http.Client{
		Timeout:   2 * time.Second,
		Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: authorities}},
	}
	return func() bool {
		response, err := client.Get("https://" + c.nodeIP() + ":6443/readyz") // needs no client certificate
		if err != nil {
			return false
		}
		_ = response.Body.Close()
		return response.StatusCode == http.StatusOK
	}
}

func (c *cluster) containerdReady() bool {
	_, err := os.Stat(c.file("containerd.sock"))
	return err == nil
}

func both(a, b func() bool) func() bool { return func() bool { return a() && b() } }
