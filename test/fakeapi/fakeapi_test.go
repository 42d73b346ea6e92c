// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package fakeapi

import (
	"errors"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	testingclock "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"procman.dev/procman/api/v1alpha1"
)

// The server counts its calls, sets the creation time by its own clock, and fails when a
// test wants it to.
func TestServer(t *testing.T) {
	now, lost := time.Unix(1e9, 5e8), errors.New("lost")
	s := New(t, testingclock.NewFakePassiveClock(now))
	s.Ahead = time.Minute
	s.OnCreate = func(call int32, create func() error) error {
		return errors.Join(create(), map[int32]error{1: lost}[call])
	}
	p := &v1alpha1.Process{ObjectMeta: metav1.ObjectMeta{Namespace: "work", Name: "p"}}
	if err := s.Create(t.Context(), p); !errors.Is(err, lost) || s.Creates.Load() != 1 {
		t.Errorf("create: %v after %d calls", err, s.Creates.Load())
	}
	s.OnProcess = func(func() error) error { return lost }
	if err := s.Create(t.Context(), &v1alpha1.Process{}); !errors.Is(err, lost) || s.Creates.Load() != 1 {
		t.Errorf("create of a Process: %v after %d calls", err, s.Creates.Load())
	}
	found := &v1alpha1.Process{}
	if err := s.Get(t.Context(), client.ObjectKeyFromObject(p), found); err != nil || found.CreationTimestamp.Unix() != 1e9+60 {
		t.Errorf("get: %v, created at %s", err, found.CreationTimestamp)
	}
	s.OnGet = func() error { return lost }
	if err := s.Get(t.Context(), client.ObjectKeyFromObject(p), found); !errors.Is(err, lost) || s.Gets.Load() != 2 {
		t.Errorf("get: %v after %d calls", err, s.Gets.Load())
	}
}
