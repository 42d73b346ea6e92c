// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

// Package fakeapi is an API server in memory, for the tests of the facade.
package fakeapi

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"procman.dev/procman/api/v1alpha1"
)

// Server has Processes and Leases.
type Server struct {
	client.Client
	// Ahead is how far its clock is ahead of the clock of the test.
	Ahead time.Duration
	// Creates and Gets count the calls.
	Creates, Gets atomic.Int32
	// OnCreate decides on the creates of Processes and Leases. OnProcess, if it is set,
	// decides on those of Processes instead; they do not count then.
	OnCreate  func(call int32, create func() error) error
	OnProcess func(create func() error) error
	// OnGet is called before each Get and can fail it.
	OnGet func() error
}

// New returns an empty server.
func New(t testing.TB, c clock.PassiveClock) *Server {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := errors.Join(v1alpha1.AddToScheme(scheme), coordinationv1.AddToScheme(scheme)); err != nil {
		t.Fatal(err)
	}
	s := &Server{
		OnCreate: func(_ int32, create func() error) error { return create() },
		OnGet:    func() error { return nil },
	}
	s.Client = fake.NewClientBuilder().WithScheme(scheme).WithInterceptorFuncs(interceptor.Funcs{
		Create: func(ctx context.Context, inner client.WithWatch, obj client.Object, opts ...client.CreateOption) error {
			obj.SetCreationTimestamp(metav1.NewTime(c.Now().Add(s.Ahead).Truncate(time.Second)))
			create := func() error { return inner.Create(ctx, obj, opts...) }
			if _, ok := obj.(*v1alpha1.Process); ok && s.OnProcess != nil {
				return s.OnProcess(create)
			}
			return s.OnCreate(s.Creates.Add(1), create)
		},
		Get: func(ctx context.Context, inner client.WithWatch, key client.ObjectKey, obj client.Object, opts ...client.GetOption) error {
			s.Gets.Add(1)
			if err := errors.Join(s.OnGet(), ctx.Err()); err != nil {
				return err
			}
			return inner.Get(ctx, key, obj, opts...)
		},
	}).Build()
	return s
}
