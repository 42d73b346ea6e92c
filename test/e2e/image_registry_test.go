// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// imageRegistry is an image registry in this test. The node of the local cluster pulls
// from it.
type imageRegistry struct {
	// host is its address, for the test and for the node.
	host string
	// tag is new in each run, because the node keeps the images that it has pulled.
	tag string
	// busy is the number of requests to busy/ that it still answers with 429.
	busy atomic.Int64
}

// startRegistry serves the image of the echo worker as busy/echo-worker and
// idle/echo-worker. Everything below private/ needs credentials. It has no other image.
func startRegistry(t *testing.T) *imageRegistry {
	t.Helper()
	// The node's network has two addresses. This machine's is the one before the node's.
	node, err := url.Parse(baseURL)
	if err != nil {
		t.Fatal(err)
	}
	address, err := netip.ParseAddr(node.Hostname())
	if err != nil {
		t.Fatal(err)
	}
	r := &imageRegistry{host: net.JoinHostPort(address.Prev().String(), "5000"), tag: strconv.FormatInt(time.Now().UnixNano(), 36)}
	listener, err := net.Listen("tcp", r.host)
	if err != nil {
		t.Fatalf("serve a registry where the local cluster's node can reach it (docs/local-cluster.md): %v", err)
	}
	images := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		w.Header().Set("Docker-Distribution-Api-Version", "registry/2.0")
		switch {
		case strings.HasPrefix(q.URL.Path, "/v2/private/"):
			w.Header().Set("WWW-Authenticate", `Basic realm="private"`)
			http.Error(w, `{"errors":[{"code":"UNAUTHORIZED","message":"login required"}]}`, http.StatusUnauthorized)
		case strings.HasPrefix(q.URL.Path, "/v2/busy/") && r.busy.Add(-1) >= 0:
			http.Error(w, `{"errors":[{"code":"TOOMANYREQUESTS","message":"try again later"}]}`, http.StatusTooManyRequests)
		default:
			images.ServeHTTP(w, q)
		}
	}))
	_ = server.Listener.Close()
	server.Listener = listener
	server.Start()
	t.Cleanup(server.Close)

	image, err := tarball.ImageFromPath("../../out/images/echo-worker.tar", nil)
	if err != nil {
		t.Fatalf("read the image that hack/deploy.sh built: %v", err)
	}
	// This must not be the image that was loaded into the node. When the kubelet has pulled
	// an image, it no longer treats the same image under another name as preloaded.
	if image, err = mutate.Config(image, v1.Config{Cmd: []string{"/echo-worker"}, User: "65532:65532", Labels: map[string]string{"pulled": r.tag}}); err != nil {
		t.Fatal(err)
	}
	for _, repository := range []string{"busy", "idle"} {
		reference, err := name.ParseReference(r.host+"/"+repository+"/echo-worker:"+r.tag, name.Insecure)
		if err != nil {
			t.Fatal(err)
		}
		if err := remote.Write(reference, image); err != nil {
			t.Fatal(err)
		}
	}
	return r
}
