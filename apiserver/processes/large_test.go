// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package processes

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"procman.dev/procman/api/v1alpha1"
)

// A form of a Process is read and held once, for all requests at the same time.
func TestLargeIsReadOnceForMany(t *testing.T) {
	const requests = 50
	l, reads, answer := newLargeReads(), 0, make(chan error)
	read := func(context.Context) (largeAnswer, error) {
		reads++
		return largeAnswer{process: &v1alpha1.Process{}}, <-answer
	}
	v, releases := version{uid: "p1", resourceVersion: "1"}, make(chan func(), requests)
	for range requests {
		go func() {
			it, release, err := l.get(t.Context(), v, read)
			if err != nil || it.process == nil {
				t.Errorf("got %+v, %v", it, err)
			}
			releases <- release
		}()
	}
	for users := 0; users < requests; runtime.Gosched() {
		l.mu.Lock()
		if it := l.open[v]; it != nil {
			users = it.users
		}
		l.mu.Unlock()
	}
	answer <- nil
	var all []func()
	for range requests {
		all = append(all, <-releases)
	}
	if reads != 1 {
		t.Errorf("%d reads for %d requests, want 1", reads, requests)
	}
	if free := l.memory.Free(); free != maxLargeBytes-maxObjectBytes {
		t.Errorf("%d bytes are free, want all except those of one answer", free)
	}
	for _, release := range all {
		release()
	}
	if l.memory.Free() != maxLargeBytes || len(l.open) != 0 {
		t.Errorf("after the release it is still held: %v", l.open)
	}
}

func TestLargeReadsWaitForMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, failed := newLargeReads(), errors.New("no")
		all, err := l.reserve(t.Context(), maxLargeBytes)
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		_, _, err = l.get(t.Context(), version{uid: "p1", resourceVersion: "1"}, func(context.Context) (largeAnswer, error) { return largeAnswer{}, nil })
		if busy, ok := errors.AsType[*BusyError](err); !ok || busy.RetryAfter != time.Second || time.Since(began) != largeWait {
			t.Errorf("without free memory: %v after %s", err, time.Since(began))
		}
		synctest.Wait()
		time.AfterFunc(largeWait/2, all.Release)
		_, _, err = l.get(t.Context(), version{uid: "p1", resourceVersion: "1"}, func(context.Context) (largeAnswer, error) { return largeAnswer{}, failed })
		if !errors.Is(err, failed) {
			t.Errorf("with memory soon enough: %v", err)
		}
		synctest.Wait()
		if l.memory.Free() != maxLargeBytes || len(l.open) != 0 {
			t.Errorf("an answer that failed is still held: %v", l.open)
		}
	})
}
