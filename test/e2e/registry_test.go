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

// imageRegistry is a registry in this test, which the local cluster's node pulls from.
type imageRegistry struct {
	// host is its address for both.
	host string
	// tag is new in each run: the node keeps what it has pulled.
	tag string
	// busy is how many more requests it answers with 429.
	busy atomic.Int64
}

// startRegistry serves the echo worker's image as busy/echo-worker and as
// idle/echo-worker, wants
// credentials for all of private/, and has nothing else.
func startRegistry(t *testing.T) *imageRegistry {
	t.Helper()
	// The node's network has two addresses: the node's, and this machine's before it.
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
			http.Error(w, `{"errors":[{"code":"UNAUTHORIZED","message":"who are you"}]}`, http.StatusUnauthorized)
		case strings.HasPrefix(q.URL.Path, "/v2/busy/") && r.busy.Add(-1) >= 0:
			http.Error(w, `{"errors":[{"code":"TOOMANYREQUESTS","message":"come again"}]}`, http.StatusTooManyRequests)
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
		t.Fatalf("read the image that hack/deploy.sh made: %v", err)
	}
	// Another image than the one that was loaded: once the kubelet has pulled an
	// image, it no longer takes the same image of another name for preloaded.
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
