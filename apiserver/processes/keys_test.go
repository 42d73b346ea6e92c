// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package processes_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"procman.dev/procman/api/v1alpha1"
	"procman.dev/procman/apiserver/processes"
)

// The create of the first request is slow. Meanwhile the client sends the request again
// and deletes the process that it gets. The late create must not bring the process back,
// also if the client of the first request has disconnected.
func TestSlowCreateDoesNotBringBackADeletedProcess(t *testing.T) {
	for name, disconnects := range map[string]bool{"the client waits": false, "the client has disconnected": true} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			ctx, disconnect := context.WithCancel(t.Context())
			defer disconnect()
			var id string
			f.live.OnCreate = func(call int32, create func() error) error {
				if call == 2 { // the first is of the Lease
					id = f.mustKeyed().Name
					if err := f.store.Delete(t.Context(), keyOf(id)); err != nil {
						t.Error(err)
					}
					if disconnects {
						disconnect()
					}
				}
				return create()
			}
			_, err := f.store.Create(ctx, processes.Submission{Type: f.echo, Input: []byte(`{}`), IdempotencyKey: "key"})
			f.wantError(err, processes.ErrKeyReused)
			_, err = f.find(id)
			f.wantError(err, processes.ErrNotFound)
			_, err = f.keyed(`{}`)
			f.wantError(err, processes.ErrKeyReused)
			if got := f.count(); got != 0 {
				t.Errorf("%d processes, want none", got)
			}
		})
	}
}

// A key and Find agree on when a process has expired. From then on the key belongs to
// another process, which has a whole lifetime.
func TestKeyAtTheExpiry(t *testing.T) {
	read := func(f *fixture, id string) *v1alpha1.Process {
		var p v1alpha1.Process
		if err := f.live.Get(f.Context(), client.ObjectKey{Namespace: namespace, Name: id}, &p); err != nil {
			f.Fatal(err)
		}
		return &p
	}
	exists := func(*fixture, string) {}
	known := func(f *fixture, id string) { f.cache.Set(read(f, id)) }
	deleted := func(f *fixture, id string) {
		if err := f.live.Delete(f.Context(), read(f, id)); err != nil {
			f.Fatal(err)
		}
	}
	for name, test := range map[string]struct {
		ahead  time.Duration // the API server's clock
		after  time.Duration
		before func(f *fixture, id string)
		same   bool
	}{
		"before":                            {0, 59 * time.Second, exists, true},
		"before, known":                     {0, 59 * time.Second, known, true},
		"exists":                            {0, 59800 * time.Millisecond, exists, false},
		"known":                             {0, 59800 * time.Millisecond, known, false},
		"deleted":                           {0, 59800 * time.Millisecond, deleted, false},
		"exists, their clock is behind":     {-time.Second, 58800 * time.Millisecond, exists, false},
		"known, their clock is behind":      {-time.Second, 58800 * time.Millisecond, known, false},
		"deleted, their clock is behind":    {-time.Second, 58800 * time.Millisecond, deleted, false},
		"exists, their clock is ahead":      {time.Second, 59800 * time.Millisecond, known, true},
		"exists, their clock is ahead, now": {time.Second, 60800 * time.Millisecond, known, false},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.live.Ahead = test.ahead
			first := f.mustKeyed()
			f.clock.Step(test.after)
			test.before(f, first.Name)
			var want error
			if !test.same {
				want = processes.ErrExpired
			}
			_, err := f.find(first.Name)
			f.wantError(err, want)
			again := f.mustKeyed()
			if same := again.Name == first.Name; same != test.same {
				t.Errorf("the key belongs to the same process: %t, want %t", same, test.same)
			}
			if expiry := f.clock.Now().Truncate(time.Second).Add(test.ahead + time.Minute); !test.same && !again.ExpirationTime().Equal(expiry) {
				t.Errorf("another expires at %s, want %s", again.ExpirationTime(), expiry)
			}
			_, err = f.find(first.Name)
			f.wantError(err, want)
		})
	}
}

// A process for which another request claimed the key, but which it failed to create,
// expires when its id says.
func TestKeyOfAFailedCreate(t *testing.T) {
	f := newFixture(t)
	f.live.OnCreate = func(call int32, create func() error) error {
		if call > 1 {
			return context.DeadlineExceeded
		}
		return create()
	}
	_, err := f.keyed(`{}`)
	f.wantError(err, context.DeadlineExceeded)
	f.live.OnCreate = func(_ int32, create func() error) error { return create() }
	f.clock.Step(10500 * time.Millisecond)
	_, err = f.keyed(`{"a":1}`)
	f.wantError(err, processes.ErrKeyReused)
	again := f.mustKeyed()
	expiry, ok := f.ring.Verify(namespace, "echo", again.Name)
	if want := epoch.Add(time.Minute); !ok || !expiry.Equal(want) || !again.ExpirationTime().Equal(want) {
		t.Errorf("the id expires at %v (%t), the process at %v", expiry, ok, again.ExpirationTime())
	}
}

// A create takes longer than the process lives. Meanwhile another request has created the
// process, and it has expired. The id stays expired.
func TestCreateThatLandsAfterTheExpiry(t *testing.T) {
	f := newFixture(t)
	var other *v1alpha1.Process
	f.live.OnCreate = func(call int32, create func() error) error {
		if call == 2 { // the first is of the Lease
			other = f.mustKeyed()
			f.clock.Step(time.Minute)
			if err := f.live.DeleteAllOf(t.Context(), &v1alpha1.Process{}, client.InNamespace(namespace)); err != nil {
				t.Error(err)
			}
		}
		return create()
	}
	first := f.mustKeyed()
	if first.Name == other.Name {
		t.Errorf("the id %s is used again", first.Name)
	}
	_, err := f.find(other.Name)
	f.wantError(err, processes.ErrExpired)
	if again := f.mustKeyed(); again.Name != first.Name {
		t.Errorf("the key belongs to %s, want %s", again.Name, first.Name)
	}
	if got := f.count(); got != 1 {
		t.Errorf("%d processes, want 1", got)
	}
}

// A create that is refused leaves its key unused: the next create with it is like a first
// one. A create that can have succeeded does not.
func TestKeyOfARefusedCreate(t *testing.T) {
	resource := schema.GroupResource{Group: "procman.dev", Resource: "processes"}
	quota := apierrors.NewForbidden(resource, "x", errors.New("exceeded quota: procman, requested: count/processes=1, used: 5, limited: 5"))
	for name, test := range map[string]struct {
		errs []error // of the calls that create the process
		busy bool
		used bool
	}{
		"quota":                   {[]error{quota}, true, false},
		"overload":                {[]error{apierrors.NewTooManyRequests("slow down", 3)}, true, false},
		"admission":               {[]error{apierrors.NewForbidden(resource, "x", errors.New("denied by a policy"))}, false, false},
		"admission, invalid":      {[]error{apierrors.NewInvalid(schema.GroupKind{Group: "procman.dev", Kind: "Process"}, "x", nil)}, false, false},
		"no answer":               {[]error{io.EOF, io.EOF, io.EOF}, false, true},
		"no answer, then refused": {[]error{io.EOF, quota}, true, true},
	} {
		for _, expired := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, after another that has expired: %t", name, expired), func(t *testing.T) {
				f := newFixture(t)
				if expired {
					f.mustKeyed()
					f.clock.Step(time.Minute)
				}
				errs := test.errs
				f.live.OnProcess = func(create func() error) error {
					if len(errs) == 0 {
						return create()
					}
					err := errs[0]
					errs = errs[1:]
					return err
				}
				_, err := f.keyed(`{}`)
				if _, busy := errors.AsType[*processes.BusyError](err); err == nil || busy != test.busy {
					t.Errorf("refused with %v", err)
				}
				f.clock.Step(30 * time.Second)
				got, err := f.keyed(`{"a":1}`)
				if test.used {
					f.wantError(err, processes.ErrKeyReused)
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				if want := f.clock.Now().Truncate(time.Second).Add(time.Minute); !got.ExpirationTime().Equal(want) {
					t.Errorf("it expires at %s, want %s", got.ExpirationTime(), want)
				}
			})
		}
	}
}

// A create is refused while another request with its key is about to create the process:
// the key is not released.
func TestRefusedCreateWhileAnotherCreates(t *testing.T) {
	f := newFixture(t)
	other, arrived, land := make(chan *v1alpha1.Process, 1), make(chan struct{}), make(chan struct{})
	var calls atomic.Int32
	f.live.OnProcess = func(create func() error) error {
		switch calls.Add(1) {
		case 1:
			go func() {
				p, err := f.keyed(`{}`)
				if err != nil {
					t.Error(err)
				}
				other <- p
			}()
			<-arrived
			return apierrors.NewTooManyRequests("slow down", 1)
		case 2:
			close(arrived)
			<-land
		}
		return create()
	}
	_, err := f.keyed(`{}`)
	if _, ok := errors.AsType[*processes.BusyError](err); !ok {
		t.Errorf("the refused create returns %v", err)
	}
	_, err = f.keyed(`{"a":1}`)
	f.wantError(err, processes.ErrKeyReused)
	close(land)
	created := <-other
	if again := f.mustKeyed(); created == nil || again.Name != created.Name {
		t.Errorf("the key belongs to %v, want %v", again, created)
	}
	if got := f.count(); got != 1 {
		t.Errorf("%d processes, want 1", got)
	}
}

// Many creates at once, of which many are refused, some although the process was created:
// all that succeed return the same process, and there is no other.
func TestOneProcessForAKeyOfWhichManyAreRefused(t *testing.T) {
	for range 20 {
		f := newFixture(t)
		f.live.OnProcess = func(create func() error) error {
			chance := rand.IntN(20)
			<-time.After(time.Duration(rand.IntN(3)) * time.Millisecond) // so that they meet
			switch chance {
			case 0, 1:
				return create()
			case 2:
				return errors.Join(create(), io.EOF)
			default:
				return apierrors.NewTooManyRequests("slow down", 1)
			}
		}
		ids := make(chan string, 64)
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				for range 8 {
					if p, err := f.keyed(`{}`); err == nil {
						ids <- p.Name
					}
				}
			})
		}
		all.Wait()
		close(ids)
		f.live.OnProcess = nil
		id := f.mustKeyed().Name
		for other := range ids {
			if other != id {
				t.Errorf("the processes of a key are %s and %s", id, other)
			}
		}
		if got := f.count(); got != 1 {
			t.Errorf("%d processes, want 1", got)
		}
	}
}
