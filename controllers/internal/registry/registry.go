// Package registry asks the registries of container images what an image runs
// when nobody says otherwise, and which content its name stands for.
package registry

import (
	"context"
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

// Bounds of one question. Each of the few requests that it takes has to end in
// time, too. go-containerregistry bounds the manifests itself; maxConfigBytes is
// for the rest.
const (
	timeout        = 30 * time.Second
	headerTimeout  = 10 * time.Second
	maxConfigBytes = 4 << 20
)

// Image is what a registry says of one.
type Image struct {
	// Reference is the image by its digest: name@sha256:...
	Reference string
	// Entrypoint and Cmd are what it runs: the program, and the arguments that
	// whoever gives others replaces. Either may be empty.
	Entrypoint, Cmd []string
}

// Why a question has no answer. None is final: an image can be pushed, a
// credential granted, a registry mended.
var (
	ErrNotFound     = errors.New("the registry does not have the image")
	ErrUnauthorized = errors.New("the registry refuses the credentials")
	ErrUnreachable  = errors.New("the registry does not answer the question")
)

// Resolver asks registries. Its zero value is ready to use.
type Resolver struct {
	// Transport is how requests are made; a bounded one of its own when nil.
	Transport http.RoundTripper
}

// Resolve asks the registry of a reference what its image is and runs, for Linux
// on an architecture such as amd64. A reference without a registry is Docker
// Hub's, as everywhere. The digest is the one that the reference stands for: of
// an image for several architectures, that of all of them.
//
// The error is an ErrNotFound, also for a name that cannot be one, an
// ErrUnauthorized or an ErrUnreachable, with what the registry said; at most some
// hundred characters of it, as the answer is whoever's.
func (r *Resolver) Resolve(ctx context.Context, reference, architecture string, keychain authn.Keychain) (Image, error) {
	ref, err := name.ParseReference(reference)
	if err != nil {
		return Image{}, fmt.Errorf("%w: %q cannot be the name of one", ErrNotFound, reference)
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
		// The caller comes back later; nobody waits here.
		remote.WithRetryBackoff(remote.Backoff{Steps: 1}),
		remote.WithRetryStatusCodes(),
	)
	if err != nil {
		return Image{}, classify(reference, err)
	}
	image, err := described.Image()
	if err != nil {
		if described.MediaType.IsIndex() && !isTransport(err) {
			return Image{}, fmt.Errorf("%w: %s is not there for linux/%s", ErrNotFound, reference, architecture)
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

// classify says which of the reasons an error is, in words for people.
func classify(reference string, err error) error {
	answer, ok := errors.AsType[*transport.Error](err)
	if !ok {
		if dns, ok := errors.AsType[*net.DNSError](err); ok {
			return fmt.Errorf("%w: no host is called %s", ErrUnreachable, dns.Name)
		}
		return fmt.Errorf("%w: %s: %s", ErrUnreachable, reference, shortened(err.Error()))
	}
	reason := ErrUnreachable
	switch answer.StatusCode {
	case http.StatusNotFound:
		reason = ErrNotFound
	case http.StatusUnauthorized, http.StatusForbidden:
		reason = ErrUnauthorized
	}
	// The body that is no error of a registry's is not repeated: whatever
	// answers at that address may say there what is not for everybody.
	said := fmt.Sprintf("%d %s", answer.StatusCode, http.StatusText(answer.StatusCode))
	if len(answer.Errors) > 0 {
		said += ", " + shortened(fmt.Sprintf("%s: %s", answer.Errors[0].Code, answer.Errors[0].Message))
	}
	return fmt.Errorf("%w: %s: %s", reason, reference, said)
}

func isTransport(err error) bool {
	_, ok := errors.AsType[*transport.Error](err)
	_, network := errors.AsType[net.Error](err)
	return ok || network
}

// shortened is text of others in a message of ours.
func shortened(s string) string {
	const most = 300
	if len(s) > most {
		s = s[:most] + "..."
	}
	return strings.ToValidUTF8(s, "")
}

// newTransport is one that waits for nobody long.
func newTransport() http.RoundTripper {
	return &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: headerTimeout}).DialContext,
		TLSHandshakeTimeout:   headerTimeout,
		ResponseHeaderTimeout: headerTimeout,
		DisableKeepAlives:     true, // one image is asked for once in a long time
		ForceAttemptHTTP2:     true,
	}
}
