// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

// Package registry reads the digest, the entrypoint and the default arguments of a
// container image from its registry.
package registry

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// Limits of one call of Resolve, and of each of its few requests.
// go-containerregistry limits the size of manifests; maxConfigBytes limits the other
// answers.
const (
	timeout        = 30 * time.Second
	headerTimeout  = 10 * time.Second
	maxConfigBytes = 4 << 20
)

// Image is what the registry knows about an image.
type Image struct {
	// Reference is the image with its digest: name@sha256:...
	Reference string
	// Entrypoint and Cmd are the program and its default arguments. Each of them can be
	// empty.
	Entrypoint, Cmd []string
}

// The errors of Resolve. None of them is final: somebody can push the image, change the
// credentials, or repair the registry.
var (
	ErrNotFound     = errors.New("the registry does not have the image")
	ErrUnauthorized = errors.New("the registry refuses the credentials")
	ErrUnreachable  = errors.New("the registry gives no valid answer")
)

// Resolver sends requests to registries. Its zero value is ready for use.
type Resolver struct {
	// Transport sends the requests. Nil means a transport with short timeouts.
	Transport http.RoundTripper
}

// Resolve returns the image that a reference names, for Linux on an architecture such as
// amd64. A reference without a registry means Docker Hub. If the image has several
// architectures, the digest is that of its index.
//
// The error is an ErrNotFound (also for an invalid name), an ErrUnauthorized or an
// ErrUnreachable. It contains the first bytes of the registry's message.
func (r *Resolver) Resolve(ctx context.Context, reference, architecture string, keychain authn.Keychain) (Image, error) {
	ref, err := name.ParseReference(reference)
	if err != nil {
		return Image{}, fmt.Errorf("%w: %q is not a valid image name", ErrNotFound, reference)
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	base := r.Transport
	if base == nil {
		base = newTransport()
	}
	described, err := remote.Get(ref,
		remote.WithContext(ctx),
		remote.WithAuthFromKeychain(keychain),
		remote.WithPlatform(v1.Platform{OS: "linux", Architecture: architecture}),
		remote.WithTransport(bounded{base}),
		remote.WithUserAgent("procman"),
		// No retry here: the caller tries again later.
		remote.WithRetryBackoff(remote.Backoff{Steps: 1}),
		remote.WithRetryStatusCodes(),
	)
	if err != nil {
		return Image{}, classify(reference, err)
	}
	image, err := described.Image()
	if err != nil {
		if described.MediaType.IsIndex() && !isTransport(err) {
			return Image{}, fmt.Errorf("%w: %s has no variant for linux/%s", ErrNotFound, reference, architecture)
		}
		return Image{}, classify(reference, err)
	}
	config, err := image.ConfigFile()
	if err != nil {
		return Image{}, classify(reference, err)
	}
	return Image{
		Reference:  ref.Context().Digest(described.Digest.String()).String(),
		Entrypoint: config.Config.Entrypoint,
		Cmd:        config.Config.Cmd,
	}, nil
}

// classify returns one of the errors of Resolve, with a message for people.
func classify(reference string, err error) error {
	// The library tries a registry at a private address again without TLS. The error then
	// contains both errors.
	if invalid, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return fmt.Errorf("%w: %s: its certificate of %q is not valid: %s; docs/installing.md says how to add a certificate authority",
			ErrUnreachable, reference, shorten(invalid.UnverifiedCertificates[0].Issuer.String()), shorten(invalid.Err.Error()))
	}
	answer, ok := errors.AsType[*transport.Error](err)
	if !ok {
		if dns, ok := errors.AsType[*net.DNSError](err); ok {
			return fmt.Errorf("%w: there is no host %s", ErrUnreachable, dns.Name)
		}
		if large, ok := errors.AsType[*http.MaxBytesError](err); ok {
			return fmt.Errorf("%w: %s: its answer is larger than %d bytes", ErrUnreachable, reference, large.Limit)
		}
		return fmt.Errorf("%w: %s: %s", ErrUnreachable, reference, shorten(err.Error()))
	}
	reason := ErrUnreachable
	switch answer.StatusCode {
	case http.StatusNotFound:
		reason = ErrNotFound
	case http.StatusUnauthorized, http.StatusForbidden:
		reason = ErrUnauthorized
	}
	// The message contains no body except the error of a registry: any server can be at
	// this address, and its response may be confidential.
	message := fmt.Sprintf("%d %s", answer.StatusCode, http.StatusText(answer.StatusCode))
	if len(answer.Errors) > 0 {
		message += ", " + shorten(fmt.Sprintf("%s: %s", answer.Errors[0].Code, answer.Errors[0].Message))
	}
	return fmt.Errorf("%w: %s: %s", reason, reference, message)
}

// isTransport reports whether a request failed, and not the decoding of its response.
func isTransport(err error) bool {
	_, ok := errors.AsType[*transport.Error](err)
	_, network := errors.AsType[net.Error](err)
	return ok || network
}

// shorten limits the length of a text from a registry.
func shorten(s string) string {
	const maxBytes = 300
	if len(s) > maxBytes {
		s = s[:maxBytes] + "..."
	}
	return strings.ToValidUTF8(s, "")
}

// newTransport returns a transport with short timeouts.
func newTransport() *http.Transport {
	return &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: headerTimeout}).DialContext,
		TLSClientConfig:       &tls.Config{RootCAs: roots()},
		TLSHandshakeTimeout:   headerTimeout,
		ResponseHeaderTimeout: headerTimeout,
		DisableKeepAlives:     true, // requests are rare
		ForceAttemptHTTP2:     true,
	}
}
