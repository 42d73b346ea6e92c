// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"crypto/x509"
	"sync"

	"golang.org/x/crypto/x509roots/fallback/bundle"
)

// roots returns the certificate authorities that registries are checked against: those
// of Mozilla, which are part of this program, since its image contains nothing else, and
// those that SSL_CERT_FILE and SSL_CERT_DIR name (docs/installing.md).
var roots = sync.OnceValue(func() *x509.CertPool {
	pool, err := x509.SystemCertPool()
	if err != nil { // a file or directory cannot be read
		pool = x509.NewCertPool()
	}
	for root := range bundle.Roots() {
		if certificate, err := x509.ParseCertificate(root.Certificate); err == nil {
			pool.AddCertWithConstraint(certificate, root.Constraint)
		}
	}
	return pool
})
