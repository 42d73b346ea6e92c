// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	inprocess "github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"golang.org/x/crypto/x509roots/fallback/bundle"
)

// mounted is a certificate authority in the directory of SSL_CERT_DIR.
var mounted *authority

// TestMain gives these tests the roots of the operator's pod: its image has no file with
// certificate authorities, and a directory with one is mounted.
func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "roots")
	if err != nil {
		panic(err)
	}
	mounted = newAuthority("mounted")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: mounted.certificate.Raw})
	err = errors.Join(os.WriteFile(filepath.Join(dir, "ca.crt"), text, 0o600),
		os.Setenv("SSL_CERT_DIR", dir), os.Setenv("SSL_CERT_FILE", filepath.Join(dir, "none")))
	if err != nil {
		panic(err)
	}
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// authority is a certificate authority.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

func newAuthority(name string) *authority {
	a := &authority{}
	a.certificate, a.key = issue(name, nil)
	return a
}

// issue returns a certificate for a name, signed by an authority, or with its own key if
// that is nil.
func issue(name string, by *authority) (*x509.Certificate, *ecdsa.PrivateKey) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: by == nil, BasicConstraintsValid: true,
	}
	parent, signer := template, key
	if by != nil {
		parent, signer = by.certificate, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		panic(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	return certificate, key
}

// A registry whose certificate is signed by a mounted authority works. One of any other
// authority is refused, with the name of that authority.
func TestRegistryWithTLS(t *testing.T) {
	t.Parallel()
	const host = "registry.example"
	for label, test := range map[string]struct {
		by     *authority
		server string
		want   string // in the error; "" if it works
	}{
		"a mounted authority": {mounted, host, ""},
		"an unknown one":      {newAuthority("unknown"), host, `the certificate of the registry is signed by "CN=unknown", which the operator does not trust; docs/installing.md says how to add a certificate authority`},
		"for another host":    {mounted, "other.example", "certificate is valid for other.example, not registry.example"},
	} {
		t.Run(label, func(t *testing.T) {
			t.Parallel()
			certificate, key := issue(test.server, test.by)
			server := httptest.NewUnstartedServer(inprocess.New(inprocess.Logger(log.New(io.Discard, "", 0))))
			server.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{certificate.Raw}, PrivateKey: key}}}
			server.Config.ErrorLog = log.New(io.Discard, "", 0)
			server.StartTLS()
			t.Cleanup(server.Close)
			dial := func(ctx context.Context, network, _ string) (net.Conn, error) {
				return (&net.Dialer{}).DialContext(ctx, network, server.Listener.Addr().String())
			}
			image := newImage(t, v1.Config{Entrypoint: []string{"/worker"}})
			ref, err := name.ParseReference(host + "/worker:1")
			if err != nil {
				t.Fatal(err)
			}
			trusting := &http.Transport{DialContext: dial, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}} // only this test's own upload
			if err := remote.Write(ref, image, remote.WithContext(t.Context()), remote.WithTransport(trusting)); err != nil {
				t.Fatal(err)
			}

			transport := newTransport()
			transport.DialContext = dial
			got, err := (&Resolver{Transport: transport}).Resolve(t.Context(), host+"/worker:1", "amd64", anonymous)
			switch {
			case test.want == "" && (err != nil || len(got.Entrypoint) != 1):
				t.Errorf("got %+v, %v", got, err)
			case test.want != "" && (!errors.Is(err, ErrUnreachable) || !strings.Contains(err.Error(), test.want)):
				t.Errorf("the error is %v, want %q", err, test.want)
			}
		})
	}
}

// The program has the authorities of public registries, in addition to the mounted one.
func TestRoots(t *testing.T) {
	t.Parallel()
	public := 0
	for range bundle.Roots() {
		public++
	}
	// Subjects leaves out the roots of the system, which these are not here: TestMain has
	// replaced them.
	if got := len(roots().Subjects()); public < 100 || got != public+1 { //nolint:staticcheck // the only way to count
		t.Errorf("there are %d roots, want the %d public ones, at least 100, and the mounted one", got, public)
	}
}
