package keyring_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"procman.dev/procman/apiserver/keyring"
	"procman.dev/procman/apiserver/processid"
)

var expiry = time.Unix(2e9, 0)

func secret(data map[string][]byte) *corev1.Secret {
	return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "system", Name: keyring.SecretName}, Data: data}
}

func builder(t *testing.T, objects ...client.Object) *fake.ClientBuilder {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := corev1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	return fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...)
}

func load(t *testing.T, secrets keyring.Secrets) *processid.Ring {
	t.Helper()
	ring, err := keyring.Load(t.Context(), logr.Discard(), secrets, "system", time.Second)
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

func verifies(ring, other *processid.Ring) bool {
	_, ok := ring.Verify("echo", other.New("echo", expiry))
	return ok
}

func TestEmptySecretIsFilledOnce(t *testing.T) {
	secrets := builder(t, secret(nil)).Build()
	first, second := load(t, secrets), load(t, secrets)
	if !verifies(first, second) || !verifies(second, first) {
		t.Error("two replicas have different keys")
	}
	var got corev1.Secret
	if err := secrets.Get(t.Context(), client.ObjectKey{Namespace: "system", Name: keyring.SecretName}, &got); err != nil {
		t.Fatal(err)
	}
	if len(got.Data) != 1 || len(got.Data["k1"]) != 32 {
		t.Errorf("the Secret has %d entries, k1 with %d bytes", len(got.Data), len(got.Data["k1"]))
	}
}

func TestTwoReplicasStartTogether(t *testing.T) {
	var other *processid.Ring
	race := builder(t, secret(nil)).WithInterceptorFuncs(interceptor.Funcs{
		Update: func(ctx context.Context, c client.WithWatch, obj client.Object, opts ...client.UpdateOption) error {
			if other == nil { // the other replica is faster, between our read and our write
				var err error
				if other, err = keyring.Load(ctx, logr.Discard(), c, "system", time.Second); err != nil {
					return err
				}
			}
			return c.Update(ctx, obj, opts...)
		},
	}).Build()
	if ring := load(t, race); !verifies(ring, other) || !verifies(other, ring) {
		t.Error("two replicas have different keys")
	}
}

func TestNewestKeySigns(t *testing.T) {
	key := func(b byte) []byte { return bytes.Repeat([]byte{b}, 32) }
	ring := load(t, builder(t, secret(map[string][]byte{"k2": key(2), "k10": key(10), "k1": key(1)})).Build())
	newest := load(t, builder(t, secret(map[string][]byte{"k": key(10)})).Build())
	oldest := load(t, builder(t, secret(map[string][]byte{"k": key(1)})).Build())
	if !verifies(newest, ring) {
		t.Error("k10 does not sign")
	}
	if !verifies(ring, oldest) {
		t.Error("k1 does not verify")
	}
}

func TestLoadGivesUpAndSaysWhy(t *testing.T) {
	tests := map[string]struct {
		secrets keyring.Secrets
		want    string
	}{
		"no Secret": {builder(t).Build(), "there is no Secret system/procman-id-keys"},
		"short key": {builder(t, secret(map[string][]byte{"k1": []byte("short")})).Build(), "entry k1 of the Secret has 5 bytes"},
		"no cluster": {builder(t).WithInterceptorFuncs(interceptor.Funcs{Get: func(context.Context, client.WithWatch, client.ObjectKey, client.Object, ...client.GetOption) error {
			return errors.New("refused")
		}}).Build(), "refused"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := keyring.Load(t.Context(), logr.Discard(), tc.secrets, "system", 10*time.Millisecond)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("Load = %v, want an error with %q", err, tc.want)
			}
		})
	}
}
