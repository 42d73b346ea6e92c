// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package processtype

import (
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	inprocess "github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"procman.dev/procman/api/v1alpha1"
	"procman.dev/procman/controllers/internal/registry"
)

// images is a registry for a test, and the controller that asks it.
type images struct {
	*testing.T
	host string
	// password, when set, is asked for; busy has every request refused.
	password string
	busy     atomic.Bool

	kube client.Client
	*ImageReconciler
}

func newImages(t *testing.T, password string, objects ...client.Object) *images {
	t.Helper()
	w := &images{T: t, password: password}
	next := inprocess.New(inprocess.Logger(log.New(io.Discard, "", 0)))
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		_, given, _ := r.BasicAuth()
		switch {
		case w.busy.Load():
			rw.WriteHeader(http.StatusTooManyRequests)
		case given != w.password:
			rw.Header().Set("WWW-Authenticate", `Basic realm="registry"`)
			rw.WriteHeader(http.StatusUnauthorized)
		default:
			next.ServeHTTP(rw, r)
		}
	}))
	t.Cleanup(server.Close)
	w.host = strings.TrimPrefix(server.URL, "http://")
	scheme := runtime.NewScheme()
	if err := clientgoscheme.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	account := &corev1.ServiceAccount{
		ObjectMeta:       metav1.ObjectMeta{Namespace: "work", Name: "worker"},
		ImagePullSecrets: []corev1.LocalObjectReference{{Name: "of-the-account"}},
	}
	if password == "" {
		account.ImagePullSecrets = nil
	}
	w.kube = fake.NewClientBuilder().WithScheme(scheme).WithObjects(account).WithObjects(objects...).WithStatusSubresource(&v1alpha1.ProcessType{}).Build()
	w.ImageReconciler = &ImageReconciler{
		Client: w.kube, Live: w.kube, Resolver: &registry.Resolver{}, ServiceAccount: "worker",
		pauses: workqueue.NewTypedItemExponentialFailureRateLimiter[types.UID](minPause, maxPause),
	}
	return w
}

// push puts an image into the registry and returns it by its digest.
func (w *images) push(repository string, config v1.Config) string {
	w.Helper()
	image, err := mutate.Config(empty.Image, config)
	if err != nil {
		w.Fatal(err)
	}
	ref, err := name.ParseReference(w.host + "/" + repository)
	if err != nil {
		w.Fatal(err)
	}
	auth := authn.FromConfig(authn.AuthConfig{Username: "u", Password: w.password})
	if w.password == "" {
		auth = authn.Anonymous
	}
	if err := remote.Write(ref, image, remote.WithAuth(auth)); err != nil {
		w.Fatal(err)
	}
	digest, err := image.Digest()
	if err != nil {
		w.Fatal(err)
	}
	return ref.Context().Digest(digest.String()).String()
}

// pullSecret is one with a password for the registry.
func (w *images) pullSecret(secretName, password string) {
	w.Helper()
	err := w.kube.Create(w.Context(), &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: "work", Name: secretName}, Type: corev1.SecretTypeDockerConfigJson,
		Data: map[string][]byte{corev1.DockerConfigJsonKey: []byte(`{"auths":{"` + w.host + `":{"username":"u","password":"` + password + `"}}}`)},
	})
	if err != nil {
		w.Fatal(err)
	}
}

// register makes a type whose image's own entrypoint is to be run.
func (w *images) register(change func(*v1alpha1.ProcessType)) {
	w.Helper()
	t := &v1alpha1.ProcessType{
		ObjectMeta: metav1.ObjectMeta{Namespace: "work", Name: "type", UID: "the-uid", Generation: 1},
		Spec:       v1alpha1.ProcessTypeSpec{Image: w.host + "/worker:1"},
	}
	change(t)
	if err := w.kube.Create(w.Context(), t); err != nil {
		w.Fatal(err)
	}
}

func (w *images) get() *v1alpha1.ProcessType {
	w.Helper()
	t := &v1alpha1.ProcessType{}
	if err := w.kube.Get(w.Context(), client.ObjectKey{Namespace: "work", Name: "type"}, t); err != nil {
		w.Fatal(err)
	}
	return t
}

// change gives the type another spec.
func (w *images) change(change func(*v1alpha1.ProcessTypeSpec)) {
	w.Helper()
	t := w.get()
	change(&t.Spec)
	t.Generation++
	if err := w.kube.Update(w.Context(), t); err != nil {
		w.Fatal(err)
	}
}

// reconcile runs the controller once, and asserts the reason it leaves.
func (w *images) reconcile(reason, message string) (reconcile.Result, v1alpha1.ProcessTypeStatus) {
	w.Helper()
	result, err := w.Reconcile(w.Context(), w.get())
	if err != nil {
		w.Fatal(err)
	}
	after := w.get()
	c := after.Verdict(v1alpha1.ConditionImageResolved)
	if reason == "" && c == nil {
		return result, after.Status
	}
	if c == nil || c.Reason != reason || !strings.Contains(c.Message, message) || (c.Status == metav1.ConditionTrue) != (reason == "Resolved") {
		w.Fatalf("the condition is %+v, want %s with %q", c, reason, message)
	}
	if c.Status != metav1.ConditionTrue && (after.Status.Image != "" || after.Status.Command != nil) {
		w.Errorf("not resolved, and yet: %+v", after.Status)
	}
	return result, after.Status
}

func TestImageIsResolved(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		config v1.Config
		args   []string
		want   []string
	}{
		"entrypoint and arguments":     {v1.Config{Entrypoint: []string{"/worker"}, Cmd: []string{"--a"}}, nil, []string{"/worker", "--a"}},
		"arguments of the type's own":  {v1.Config{Entrypoint: []string{"/worker"}, Cmd: []string{"--a"}}, []string{"--b"}, []string{"/worker", "--b"}},
		"no entrypoint":                {v1.Config{Cmd: []string{"python3", "w.py"}}, nil, []string{"python3", "w.py"}},
		"nothing but the type's own":   {v1.Config{}, []string{"/worker"}, []string{"/worker"}},
		"entrypoint without arguments": {v1.Config{Entrypoint: []string{"/worker"}}, nil, []string{"/worker"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newImages(t, "")
			pinned := w.push("worker:1", test.config)
			w.register(func(t *v1alpha1.ProcessType) { t.Spec.Args = test.args })
			result, status := w.reconcile("Resolved", "resolved again when the spec changes")
			if diff := cmp.Diff(test.want, status.Command); diff != "" || status.Image != pinned || !result.IsZero() {
				t.Errorf("command %s\nimage %s, want %s; %+v", diff, status.Image, pinned, result)
			}
		})
	}
}

func TestImageIsResolvedAnewWhenTheSpecChanges(t *testing.T) {
	t.Parallel()
	w := newImages(t, "")
	first := w.push("worker:1", v1.Config{Entrypoint: []string{"/first"}})
	w.register(func(*v1alpha1.ProcessType) {})
	w.reconcile("Resolved", "")
	second := w.push("worker:1", v1.Config{Entrypoint: []string{"/second"}}) // the tag moves
	if _, status := w.reconcile("Resolved", ""); status.Image != first {
		t.Errorf("it follows the tag: %s", status.Image)
	}
	w.change(func(s *v1alpha1.ProcessTypeSpec) { s.Description = "Another." })
	if _, status := w.reconcile("Resolved", ""); status.Image != second || status.Command[0] != "/second" {
		t.Errorf("it does not look again: %+v", status)
	}
	w.change(func(s *v1alpha1.ProcessTypeSpec) { s.Image = w.host + "/worker:2" })
	w.reconcile("ImageNotFound", "MANIFEST_UNKNOWN")
	w.change(func(s *v1alpha1.ProcessTypeSpec) { s.Command = []string{"/own"} })
	_, status := w.reconcile("", "")
	if meta.FindStatusCondition(status.Conditions, v1alpha1.ConditionImageResolved) != nil || status.Image != "" {
		t.Errorf("a type with a command keeps %+v", status)
	}
}

func TestImageIsAskedForEverMoreSlowly(t *testing.T) {
	t.Parallel()
	w := newImages(t, "")
	w.register(func(*v1alpha1.ProcessType) {})
	for _, want := range []time.Duration{1, 2, 4, 8, 16, 32, 60, 60} {
		result, _ := w.reconcile("ImageNotFound", "NAME_UNKNOWN")
		if result.RequeueAfter != want*time.Second {
			t.Errorf("the next try is in %s, want %d s", result.RequeueAfter, want)
		}
	}
	w.change(func(s *v1alpha1.ProcessTypeSpec) { s.Image = w.host + "/worker:2" })
	w.busy.Store(true) // which is not final
	if result, _ := w.reconcile("RegistryUnreachable", "429 Too Many Requests"); result.RequeueAfter != time.Second {
		t.Errorf("after a change of the spec the next try is in %s", result.RequeueAfter)
	}
	w.busy.Store(false)
	w.push("worker:2", v1.Config{})
	w.reconcile("NoEntrypoint", "set spec.command of the type")
	w.push("worker:2", v1.Config{Entrypoint: slices.Repeat([]string{"/worker"}, 257)})
	w.reconcile("NoEntrypoint", "more than 256")
	w.push("worker:2", v1.Config{Entrypoint: slices.Repeat([]string{strings.Repeat("x", 30_000)}, 20)})
	w.reconcile("NoEntrypoint", "or 524288 bytes")
	w.push("worker:2", v1.Config{Entrypoint: []string{"/worker", strings.Repeat("ö", 32_769)}})
	w.reconcile("NoEntrypoint", "more than 32768 characters")
	w.push("worker:2", v1.Config{Entrypoint: []string{"/worker", strings.Repeat("ö", 32_768)}})
	w.reconcile("Resolved", "")
	w.change(func(s *v1alpha1.ProcessTypeSpec) { s.Description = "Another." })
	w.push("worker:2", v1.Config{Entrypoint: []string{"/worker"}})
	if result, _ := w.reconcile("Resolved", ""); !result.IsZero() {
		t.Errorf("resolved, and yet: %+v", result)
	}
}

func TestImageWithCredentials(t *testing.T) {
	t.Parallel()
	opaque := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "work", Name: "opaque"}, Type: corev1.SecretTypeOpaque}
	w := newImages(t, "word", opaque)
	w.push("worker:1", v1.Config{Entrypoint: []string{"/worker"}})
	w.register(func(*v1alpha1.ProcessType) {})
	w.reconcile("NoPullSecret", "Secret of-the-account does not exist")
	w.pullSecret("of-the-account", "wrong")
	w.reconcile("Unauthorized", "401 Unauthorized")
	w.pullSecret("of-the-type", "word")
	name := func(secret string) {
		w.change(func(s *v1alpha1.ProcessTypeSpec) {
			s.Template.ImagePullSecrets = []v1alpha1.PullSecret{{Name: secret}}
		})
	}
	name("opaque")
	w.reconcile("NoPullSecret", "secret opaque is of type Opaque, expected kubernetes.io/dockerconfigjson")
	name("of-the-type")
	w.reconcile("Resolved", "")
}
