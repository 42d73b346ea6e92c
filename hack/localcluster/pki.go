// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// certificateLifetime is longer than a local cluster is kept.
const certificateLifetime = 10 * 365 * 24 * time.Hour

// authority is a certificate authority with its files in a directory.
type authority struct {
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// openAuthority reads the authority of a directory, ca.crt and ca.key, or creates
// it.
func openAuthority(dir string) (*authority, error) {
	a := &authority{dir: dir}
	if a.cert, a.key = readPair(a.file("ca.crt"), a.file("ca.key")); a.cert != nil {
		return a, nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("create directory of certificates: %w", err)
	}
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: "procman local cluster"},
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		BasicConstraintsValid: true,
		IsCA:                  true,
	}
	if err := a.sign("ca", template); err != nil {
		return nil, err
	}
	a.cert, a.key = readPair(a.file("ca.crt"), a.file("ca.key"))
	return a, nil
}

func (a *authority) file(name string) string { return filepath.Join(a.dir, name) }

// issue creates name.crt and name.key, unless a complete pair exists. They are
// valid for a client with the given user and groups, and for a server at the given
// hosts (names or addresses).
func (a *authority) issue(name, user string, groups []string, hosts ...string) error {
	if cert, _ := readPair(a.file(name+".crt"), a.file(name+".key")); cert != nil {
		return nil
	}
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
	return a.sign(name, template)
}

// sign completes the template with a new key and writes both. The first
// certificate, the authority's own, is self-signed.
func (a *authority) sign(name string, template *x509.Certificate) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("create key of %s: %w", name, err)
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return fmt.Errorf("create serial number of %s: %w", name, err)
	}
	template.SerialNumber = serial
	template.NotBefore = time.Now().Add(-time.Hour)
	template.NotAfter = template.NotBefore.Add(certificateLifetime)
	parent, parentKey := a.cert, a.key
	if parent == nil {
		parent, parentKey = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, parentKey)
	if err != nil {
		return fmt.Errorf("sign %s: %w", name, err)
	}
	return a.write(name, der, key)
}

// write writes the key first, so that every certificate on disk has its key.
func (a *authority) write(name string, der []byte, key *ecdsa.PrivateKey) error {
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fmt.Errorf("encode key of %s: %w", name, err)
	}
	if err := os.WriteFile(a.file(name+".key"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}), 0o600); err != nil {
		return fmt.Errorf("write key: %w", err)
	}
	if err := os.WriteFile(a.file(name+".crt"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		return fmt.Errorf("write certificate: %w", err)
	}
	return nil
}

// readPair reads a certificate and its key. It returns nil if one of them is
// missing or broken.
func readPair(certFile, keyFile string) (*x509.Certificate, *ecdsa.PrivateKey) {
	certText, err1 := os.ReadFile(certFile)
	keyText, err2 := os.ReadFile(keyFile)
	certBlock, _ := pem.Decode(certText)
	keyBlock, _ := pem.Decode(keyText)
	if err1 != nil || err2 != nil || certBlock == nil || keyBlock == nil {
		return nil, nil
	}
	cert, err1 := x509.ParseCertificate(certBlock.Bytes)
	key, err2 := x509.ParsePKCS8PrivateKey(keyBlock.Bytes)
	ecKey, ok := key.(*ecdsa.PrivateKey)
	if err1 != nil || err2 != nil || !ok {
		return nil, nil
	}
	return cert, ecKey
}
