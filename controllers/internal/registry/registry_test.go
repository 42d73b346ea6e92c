// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	inprocess "github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// serve starts a registry and returns its host. Requests pass through front.
func serve(t *testing.T, front func(next http.Handler) http.Handler) string {
	t.Helper()
	server := httptest.NewServer(front(inprocess.New(inprocess.Logger(log.New(io.Discard, "", 0)))))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

func open(next http.Handler) http.Handler { return next }

// locked requires the password.
func locked(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "us" || password != "word" {
			w.Header().Set("WWW-Authenticate", `Basic realm="registry"`)
			http.Error(w, "not a body of a registry", http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	})
}

var known = authn.FromConfig(authn.AuthConfig{Username: "us", Password: "word"})

// newImage returns an image with a configuration.
func newImage(t *testing.T, config v1.Config) v1.Image {
	t.Helper()
	image, err := mutate.Config(empty.Image, config)
	if err != nil {
		t.Fatal(err)
	}
	return image
}

// push puts an image into a registry and returns its digest.
func push(t *testing.T, reference string, image v1.Image) string {
	t.Helper()
	ref, err := name.ParseReference(reference)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(ref, image, remote.WithAuth(known), remote.WithContext(t.Context())); err != nil {
		t.Fatal(err)
	}
	digest, err := image.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return digest.String()
}

// anonymous has no credentials.
var anonymous = Keychain(nil)

func TestResolve(t *testing.T) {
	t.Parallel()
	host := serve(t, open)
	for tag, config := range map[string]v1.Config{
		"both":       {Entrypoint: []string{"/worker"}, Cmd: []string{"--slow"}},
		"entrypoint": {Entrypoint: []string{"/worker", "-v"}},
		"cmd":        {Cmd: []string{"python3", "worker.py"}},
		"nothing":    {},
	} {
		t.Run(tag, func(t *testing.T) {
			t.Parallel()
			digest := push(t, host+"/team/worker:"+tag, newImage(t, config))
			want := Image{Reference: host + "/team/worker@" + digest, Entrypoint: config.Entrypoint, Cmd: config.Cmd}
			for _, reference := range []string{host + "/team/worker:" + tag, want.Reference} {
				got, err := (&Resolver{}).Resolve(t.Context(), reference, "amd64", anonymous)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Error(diff)
				}
			}
		})
	}
}

func TestResolveAnImageOfSeveralArchitectures(t *testing.T) {
	t.Parallel()
	host := serve(t, open)
	index := v1.ImageIndex(empty.Index)
	for _, arch := range []string{"amd64", "arm64"} {
		index = mutate.AppendManifests(index, mutate.IndexAddendum{
			Add:        newImage(t, v1.Config{Entrypoint: []string{"/worker-" + arch}}),
			Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: arch}},
		})
	}
	ref, err := name.ParseReference(host + "/multi:1")
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.WriteIndex(ref, index, remote.WithContext(t.Context())); err != nil {
		t.Fatal(err)
	}
	digest, err := index.Digest()
	if err != nil {
		t.Fatal(err)
	}
	for _, arch := range []string{"amd64", "arm64"} {
		want := Image{Reference: host + "/multi@" + digest.String(), Entrypoint: []string{"/worker-" + arch}}
		got, err := (&Resolver{}).Resolve(t.Context(), host+"/multi:1", arch, anonymous)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	}
	_, err = (&Resolver{}).Resolve(t.Context(), host+"/multi:1", "s390x", anonymous)
	if !errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), "linux/s390x") {
		t.Errorf("another architecture: %v", err)
	}
}

func TestResolveFails(t *testing.T) {
	t.Parallel()
	answers := func(status int, body string) func(http.Handler) http.Handler {
		return func(http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/v2/" {
					return
				}
				w.WriteHeader(status)
				_, _ = io.WriteString(w, body)
			})
		}
	}
	for name, test := range map[string]struct {
		front     func(http.Handler) http.Handler
		reference string // after the host
		want      error
		says      string
	}{
		"no such image":      {open, "/none:1", ErrNotFound, "NAME_UNKNOWN"},
		"no such name":       {open, "/Not An Image!", ErrNotFound, "is not a valid image name"},
		"no credentials":     {locked, "/worker:1", ErrUnauthorized, "401 Unauthorized"},
		"denied":             {answers(403, `{"errors":[{"code":"DENIED","message":"not yours"}]}`), "/worker:1", ErrUnauthorized, "DENIED: not yours"},
		"too many requests":  {answers(429, `{"errors":[{"code":"TOOMANYREQUESTS","message":"slow down"}]}`), "/worker:1", ErrUnreachable, "429 Too Many Requests, TOOMANYREQUESTS: slow down"},
		"broken":             {answers(500, ``), "/worker:1", ErrUnreachable, "500 Internal Server Error"},
		"no registry at all": {answers(200, `<html>a private page</html>`), "/worker:1", ErrUnreachable, ""},
		"a private answer":   {answers(400, `the private answer`), "/worker:1", ErrUnreachable, "400 Bad Request"},
		"an endless message": {answers(404, `{"errors":[{"code":"NAME_UNKNOWN","message":"`+strings.Repeat("x", 10_000)+`"}]}`), "/worker:1", ErrNotFound, "xxx..."},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := (&Resolver{}).Resolve(t.Context(), serve(t, test.front)+test.reference, "amd64", anonymous)
			if !errors.Is(err, test.want) || !strings.Contains(err.Error(), test.says) {
				t.Errorf("got %v, want %v with %q", err, test.want, test.says)
			}
			if text := fmt.Sprint(err); strings.Contains(text, "private") || len(text) > 600 {
				t.Errorf("it says too much: %s", text)
			}
		})
	}
	t.Run("nobody there", func(t *testing.T) {
		t.Parallel()
		server := httptest.NewServer(http.NotFoundHandler())
		server.Close()
		_, err := (&Resolver{}).Resolve(t.Context(), strings.TrimPrefix(server.URL, "http://")+"/worker:1", "amd64", anonymous)
		if !errors.Is(err, ErrUnreachable) {
			t.Errorf("got %v, want %v", err, ErrUnreachable)
		}
	})
}

func TestAnswersAreBounded(t *testing.T) {
	t.Parallel()
	host := serve(t, open)
	push(t, host+"/large:1", newImage(t, v1.Config{Cmd: []string{strings.Repeat("x", maxConfigBytes)}}))
	if _, err := (&Resolver{}).Resolve(t.Context(), host+"/large:1", "amd64", anonymous); !errors.Is(err, ErrUnreachable) || !strings.Contains(err.Error(), "larger than") {
		t.Errorf("got %v, want %v: its answer is larger than ...", err, ErrUnreachable)
	}
}

func TestOneRequestAfterAnother(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	host := serve(t, func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			asked.Add(1)
			w.WriteHeader(http.StatusTooManyRequests)
		})
	})
	_, err := (&Resolver{}).Resolve(t.Context(), host+"/worker:1", "amd64", anonymous)
	if !errors.Is(err, ErrUnreachable) || asked.Load() != 1 {
		t.Errorf("asked a registry that is too busy %d times in a row: %v", asked.Load(), err)
	}
}

func pullSecret(auths string) corev1.Secret {
	return corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "pull"}, Type: corev1.SecretTypeDockerConfigJson,
		Data: map[string][]byte{corev1.DockerConfigJsonKey: []byte(`{"auths":` + auths + `}`)},
	}
}

func TestResolveWithCredentials(t *testing.T) {
	t.Parallel()
	host := serve(t, locked)
	digest := push(t, host+"/worker:1", newImage(t, v1.Config{Entrypoint: []string{"/worker"}}))
	encoded := base64.StdEncoding.EncodeToString([]byte("us:word"))
	for name, auths := range map[string]string{
		"auth":              `{"` + host + `":{"auth":"` + encoded + `"}}`,
		"user and password": `{"https://` + host + `/v1/":{"username":"us","password":"word"}}`,
		"the longest path":  `{"` + host + `":{"username":"us","password":"wrong"},"` + host + `/worker":{"username":"us","password":"word"}}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			keychain, err := NewKeychain([]corev1.Secret{pullSecret(`{"other.example":{"auth":"` + encoded + `"}}`), pullSecret(auths)})
			if err != nil {
				t.Fatal(err)
			}
			got, err := (&Resolver{}).Resolve(t.Context(), host+"/worker:1", "amd64", keychain)
			if err != nil || got.Reference != host+"/worker@"+digest {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
	wrong, err := NewKeychain([]corev1.Secret{pullSecret(`{"` + host + `":{"username":"us","password":"wrong"}}`)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := (&Resolver{}).Resolve(t.Context(), host+"/worker:1", "amd64", wrong); !errors.Is(err, ErrUnauthorized) || strings.Contains(err.Error(), "wrong") {
		t.Errorf("a wrong password: %v", err)
	}
}

func TestKeychain(t *testing.T) {
	k, err := NewKeychain([]corev1.Secret{pullSecret(`{
		"https://index.docker.io/v1/":{"username":"hub"},
		"*.example":{"username":"any"},
		"registry.example/team":{"username":"team"},
		"registry.example/team/own":{"username":"own"}}`)})
	if err != nil {
		t.Fatal(err)
	}
	for repository, want := range map[string]string{
		"busybox":                         "hub",
		"registry.example/team/worker":    "team",
		"registry.example/team/own":       "own",
		"registry.example/team/own/a":     "own",
		"registry.example/teams/a":        "any",
		"other.example/a":                 "any",
		"a.b.example/a":                   "",
		"registry.elsewhere.invalid/team": "",
	} {
		ref, err := name.NewRepository(repository)
		if err != nil {
			t.Fatal(err)
		}
		auth, err := k.Resolve(ref)
		if err != nil {
			t.Fatal(err)
		}
		config, err := auth.Authorization()
		if err != nil || config.Username != want {
			t.Errorf("%s: user %q, want %q (%v)", repository, config.Username, want, err)
		}
	}
}

func TestKeychainRefuses(t *testing.T) {
	opaque := pullSecret(`{}`)
	opaque.Type = corev1.SecretTypeOpaque
	for name, test := range map[string]struct {
		secret corev1.Secret
		says   string
	}{
		"another type": {opaque, "secret pull is of type Opaque, expected kubernetes.io/dockerconfigjson"},
		"no JSON":      {pullSecret(`hidden`), "secret pull: .dockerconfigjson is not a Docker configuration"},
	} {
		_, err := NewKeychain([]corev1.Secret{test.secret})
		if err == nil || err.Error() != test.says {
			t.Errorf("%s: got %v, want %q", name, err, test.says)
		}
	}
}
