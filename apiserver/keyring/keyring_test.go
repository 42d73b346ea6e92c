// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package keyring_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"procman.dev/procman/apiserver/keyring"
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

func load(t *testing.T, secrets keyring.Secrets) *keyring.Ring {
	t.Helper()
	ring, err := keyring.Load(t.Context(), logr.Discard(), secrets, "system", time.Second)
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

func verifies(ring, other *keyring.Ring) bool {
	_, ok := ring.Verify("work", "echo", other.New("work", "echo", expiry))
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
	var other *keyring.Ring
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

// A key is added while two replicas run, one of which cannot read the Secret for some time,
// and a third replica starts. No replica ever denies an id that another has given out,
// unless it reports that its keys can be stale.
func TestRotation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		key := func(b byte) []byte { return bytes.Repeat([]byte{b}, 32) }
		s := secret(map[string][]byte{"k9": key(9)})
		secrets := builder(t, s).Build()
		var cut atomic.Bool
		unsteady := interceptor.NewClient(secrets, interceptor.Funcs{
			Get: func(ctx context.Context, c client.WithWatch, name client.ObjectKey, obj client.Object, opts ...client.GetOption) error {
				if cut.Load() {
					return errors.New("refused")
				}
				return c.Get(ctx, name, obj, opts...)
			},
		})
		var replicas []*keyring.Ring
		start := func(from keyring.Secrets) {
			ring := load(t, from)
			replicas = append(replicas, ring)
			go ring.Keep(t.Context(), logr.Discard())
		}
		agree := func() {
			t.Helper()
			for i, a := range replicas {
				for j, b := range replicas {
					if !verifies(a, b) && !a.Stale(time.Now()) {
						t.Errorf("at %s, replica %d denies an id of replica %d", time.Now().Format(time.TimeOnly), i, j)
					}
				}
			}
		}
		signedBy := func(b byte) bool {
			only := load(t, builder(t, secret(map[string][]byte{"k": key(b)})).Build())
			return verifies(only, replicas[0])
		}
		start(secrets)
		time.Sleep(3 * time.Second) //nolint:forbidigo // the time is synctest's
		start(unsteady)
		agree()
		for second := range 400 {
			switch second {
			case 100:
				s.Data["k10"] = key(10) // comes after k9
				if err := secrets.Update(t.Context(), s); err != nil {
					t.Fatal(err)
				}
			case 99, 250:
				cut.Store(true)
			case 120:
				start(secrets)
			case 200, 350:
				cut.Store(false)
			}
			time.Sleep(time.Second) //nolint:forbidigo // the time is synctest's
			agree()
			if second == 159 && signedBy(10) {
				t.Error("the new key signs at once")
			}
		}
		if !signedBy(10) || replicas[1].Stale(time.Now()) {
			t.Error("the new key does not sign in the end")
		}
	})
}

// A key that is added again, or gets the name of a removed one, counts as new: no replica
// signs with it before all know it.
func TestNameUsedAgain(t *testing.T) {
	key := func(b byte) []byte { return bytes.Repeat([]byte{b}, 32) }
	for name, last := range map[string]map[string][]byte{
		"for another key":  {"k1": key(1), "k2": key(3)},
		"for the same key": {"k1": key(1), "k2": key(2)},
		"under a new name": {"k1": key(1), "k3": key(2)},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := secret(map[string][]byte{"k1": key(1), "k2": key(2)})
				secrets := builder(t, s).Build()
				put := func(data map[string][]byte) {
					t.Helper()
					s.Data = data
					if err := secrets.Update(t.Context(), s); err != nil {
						t.Fatal(err)
					}
				}
				a := load(t, secrets)
				go a.Keep(t.Context(), logr.Discard())
				time.Sleep(5 * time.Second) //nolint:forbidigo // the time is synctest's
				b := load(t, secrets)
				go b.Keep(t.Context(), logr.Discard())
				time.Sleep(301 * time.Second) //nolint:forbidigo // the time is synctest's
				put(map[string][]byte{"k1": key(1)})
				time.Sleep(301 * time.Second) //nolint:forbidigo // the time is synctest's
				put(last)
				for second := range 100 {
					time.Sleep(time.Second) //nolint:forbidigo // the time is synctest's
					if !verifies(a, b) || !verifies(b, a) {
						t.Errorf("after %d seconds one replica denies an id of the other", second+1)
					}
				}
				first := load(t, builder(t, secret(map[string][]byte{"k": key(1)})).Build())
				if verifies(first, a) || verifies(first, b) {
					t.Error("the new key does not sign in the end")
				}
			})
		})
	}
}

// Keys that are not valid do not replace valid ones.
func TestKeysStayWhenTheSecretIsSpoilt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := secret(nil)
		secrets := builder(t, s).Build()
		ring := load(t, secrets)
		id := ring.New("work", "echo", expiry)
		go ring.Keep(t.Context(), logr.Discard())
		for name, data := range map[string]map[string][]byte{"emptied": {}, "with a short key": {"k1": []byte("short")}} {
			var now corev1.Secret
			if err := secrets.Get(t.Context(), client.ObjectKeyFromObject(s), &now); err != nil {
				t.Fatal(err)
			}
			now.Data = data
			if err := secrets.Update(t.Context(), &now); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute) //nolint:forbidigo // the time is synctest's
			if _, ok := ring.Verify("work", "echo", id); !ok {
				t.Errorf("%s: the ring has forgotten its key", name)
			}
		}
	})
}

func TestLoadReturnsTheLastError(t *testing.T) {
	tests := map[string]struct {
		secrets keyring.Secrets
		want    string
	}{
		"no Secret": {builder(t).Build(), "the Secret system/procman-id-keys does not exist"},
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
