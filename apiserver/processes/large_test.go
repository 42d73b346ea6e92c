// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package processes

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"procman.dev/procman/api/v1alpha1"
)

// A form of a Process is read and held once, for all requests at the same time.
func TestLargeIsReadOnceForMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, reads, answer := newLargeReads(), 0, make(chan error)
		read := func(context.Context) (largeAnswer, error) {
			reads++
			return largeAnswer{process: &v1alpha1.Process{}}, <-answer
		}
		releases := make(chan func(), 50)
		for range 50 {
			go func() {
				it, release, err := l.get(t.Context(), version{"p1", "1"}, read)
				if err != nil || it.process == nil {
					t.Errorf("got %+v, %v", it, err)
				}
				releases <- release
			}()
		}
		synctest.Wait()
		answer <- nil
		synctest.Wait()
		if reads != 1 || len(releases) != 50 {
			t.Errorf("%d reads for %d, want 1 for 50", reads, len(releases))
		}
		if free := l.memory.Free(); free != maxLargeBytes-maxObjectBytes {
			t.Errorf("%d bytes are free, want all except those of one answer", free)
		}
		for range 50 {
			(<-releases)()
		}
		if l.memory.Free() != maxLargeBytes || len(l.open) != 0 {
			t.Errorf("after the release it is still held: %v", l.open)
		}
	})
}

func TestLargeReadsWaitForMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, failed := newLargeReads(), errors.New("no")
		all, err := l.reserve(t.Context(), maxLargeBytes)
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		_, _, err = l.get(t.Context(), version{"p1", "1"}, func(context.Context) (largeAnswer, error) { return largeAnswer{}, nil })
		if busy, ok := errors.AsType[*BusyError](err); !ok || busy.RetryAfter != time.Second || time.Since(began) != largeWait {
			t.Errorf("without free memory: %v after %s", err, time.Since(began))
		}
		synctest.Wait()
		time.AfterFunc(largeWait/2, all.Release)
		_, _, err = l.get(t.Context(), version{"p1", "1"}, func(context.Context) (largeAnswer, error) { return largeAnswer{}, failed })
		if !errors.Is(err, failed) {
			t.Errorf("with memory soon enough: %v", err)
		}
		synctest.Wait()
		if l.memory.Free() != maxLargeBytes || len(l.open) != 0 {
			t.Errorf("an answer that failed is still held: %v", l.open)
		}
	})
}
