// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"
)

// certificateLifetime is longer than any local cluster exists.
const certificateLifetime = 10 * 365 * 24 * time.Hour

// authority is a certificate authority with its files in a directory.
type authority struct {
	dir string
	ca  tls.Certificate
}

// openAuthority reads the authority of a directory, ca.crt and ca.key, or creates
// it.
func openAuthority(dir string) (*authority, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("create directory of certificates: %w", err)
	}
	a := &authority{dir: dir}
	if err := a.ensure("ca", &x509.Certificate{
		Subject:               pkix.Name{CommonName: "procman local cluster"},
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		BasicConstraintsValid: true,
		IsCA:                  true,
	}); err != nil {
		return nil, err
	}
	var err error
	a.ca, err = a.read("ca")
	return a, err
}

// issue creates name.crt and name.key, unless a complete pair exists. They are
// valid for a client with the given user and groups, and for a server at the given
// hosts (names or addresses).
func (a *authority) issue(name, user string, groups []string, hosts ...string) error {
	template := &x509.Certificate{
		Subject:     pkix.Name{CommonName: user, Organization: groups},
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	return a.ensure(name, template)
}

// read reads a certificate with its key.
func (a *authority) read(name string) (tls.Certificate, error) {
	return tls.LoadX509KeyPair(filepath.Join(a.dir, name+".crt"), filepath.Join(a.dir, name+".key"))
}

// ensure creates a key, signs the template with its public key, and writes key and
// certificate, unless a complete pair exists. The first certificate, which is that of
// the authority, is self-signed.
func (a *authority) ensure(name string, template *x509.Certificate) error {
	if _, err := a.read(name); err == nil {
		return nil
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("create key of %s: %w", name, err)
	}
	template.NotBefore = time.Now().Add(-time.Hour)
	template.NotAfter = template.NotBefore.Add(certificateLifetime)
	parent, parentKey := a.ca.Leaf, a.ca.PrivateKey
	if parent == nil {
		parent, parentKey = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, parentKey)
	if err != nil {
		return fmt.Errorf("sign %s: %w", name, err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fmt.Errorf("encode key of %s: %w", name, err)
	}
	return errors.Join(a.write(name+".key", "PRIVATE KEY", keyDER), a.write(name+".crt", "CERTIFICATE", der))
}

func (a *authority) write(name, kind string, der []byte) error {
	return os.WriteFile(filepath.Join(a.dir, name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
}
