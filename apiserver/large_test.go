package apiserver

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"procman.dev/procman/api/v1alpha1"
)

// However many ask for one form of a Process at once, it is read and held once.
func TestLargeIsReadOnceForMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, reads, answer := newLarges(), 0, make(chan error)
		read := func(_ context.Context, it *large) error {
			reads++
			it.process = &v1alpha1.Process{}
			return <-answer
		}
		releases := make(chan func(), 50)
		for range 50 {
			go func() {
				it, release, err := l.get(t.Context(), "p1", read)
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
		if l.room.TryAcquire(maxLarge) || !l.room.TryAcquire(maxLarge-maxObjectBytes) {
			t.Error("it does not take the room of one")
		}
		l.room.Release(maxLarge - maxObjectBytes)
		for range 50 {
			(<-releases)()
		}
		if !l.room.TryAcquire(maxLarge) || len(l.held) != 0 {
			t.Errorf("released, it is still held: %v", l.held)
		}
	})
}

func TestLargesHaveTheirTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, failed := newLarges(), errors.New("no")
		leave, err := l.enter(t.Context(), maxLarge)
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if _, _, err := l.get(t.Context(), "p1", func(context.Context, *large) error { return nil }); failureOf(err).cause != tooManyRequests || time.Since(began) != largeWait {
			t.Errorf("with no room left: %v after %s", err, time.Since(began))
		}
		synctest.Wait()
		time.AfterFunc(largeWait/2, leave)
		if _, _, err := l.get(t.Context(), "p1", func(context.Context, *large) error { return failed }); !errors.Is(err, failed) {
			t.Errorf("with room soon enough: %v", err)
		}
		synctest.Wait()
		if !l.room.TryAcquire(maxLarge) || len(l.held) != 0 {
			t.Errorf("what failed is still held: %v", l.held)
		}
	})
}
