// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/x509"
	"fmt"
	"os"
)

// writeKubeconfig writes the kubeconfig of an identity. It refers to the files of
// the certificate and does not contain them.
func (c *cluster) writeKubeconfig(path, identity string) error {
	text := fmt.Sprintf(`apiVersion: v1
kind: Config
current-context: %[1]s
contexts:
  - name: %[1]s
    context: {cluster: %[1]s, user: %[2]s, namespace: procman}
clusters:
  - name: %[1]s
    cluster: {server: "https://%[3]s:6443", certificate-authority: %[4]q}
users:
  - name: %[2]s
    user: {client-certificate: %[5]q, client-key: %[6]q}
`, c.nodeName(), identity, c.nodeIP(), c.file("pki", "ca.crt"), c.file("pki", identity+".crt"), c.file("pki", identity+".key"))
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return fmt.Errorf("write kubeconfig: %w", err)
	}
	return nil
}

// certPool returns the certificates of a file, or an empty pool if it cannot be
// read.
func certPool(path string) *x509.CertPool {
	pool := x509.NewCertPool()
	if text, err := os.ReadFile(path); err == nil {
		pool.AppendCertsFromPEM(text)
	}
	return pool
}
