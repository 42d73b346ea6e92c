// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/types"
)

func TestPositions(t *testing.T) {
	l, _ := opened()
	l.Register(typeT, 1)
	l.Observe(newProcess("running", 0), true)
	for i := range 300 {
		l.Observe(newProcess(fmt.Sprintf("p%03d", i), 1), false)
	}
	writeAll := func() (written int) {
		for {
			due, more := l.DuePositions(100)
			if len(due) > 100 {
				t.Fatalf("%d are due at once", len(due))
			}
			for _, u := range due {
				l.PositionWritten(u, true)
			}
			written += len(due)
			if !more {
				return written
			}
		}
	}
	if n := writeAll(); n != 300 {
		t.Errorf("%d first positions are written, want 300", n)
	}
	if n := writeAll(); n != 0 {
		t.Errorf("%d positions are written that have not changed", n)
	}

	l.Forget(key("running"), "uid-running")
	if diff := cmp.Diff([]PositionUpdate{{Process: key("p000"), UID: "uid-p000"}}, l.ObsoletePositions()); diff != "" {
		t.Errorf("the one that was admitted: %s", diff)
	}
	l.PositionWritten(l.ObsoletePositions()[0], true)
	if len(l.ObsoletePositions()) != 0 {
		t.Error("its position is removed twice")
	}
	due, _ := l.DuePositions(100)
	if len(due) != exactPositions || due[0] != (PositionUpdate{Process: key("p001"), UID: "uid-p001", Position: 1}) {
		t.Errorf("after one step %d are due, from %v; want the first %d", len(due), due[:1], exactPositions)
	}

	// One step at a time to the front: each written position is off by a tenth at most.
	writes := writeAll()
	for i := range 299 {
		l.Forget(key(fmt.Sprintf("p%03d", i)), types.UID(fmt.Sprintf("uid-p%03d", i)))
		for _, u := range l.ObsoletePositions() {
			l.PositionWritten(u, true)
		}
		writes += writeAll()
		position := int32(0)
		l.types[typeT].queue.Ascend(func(p *process) bool {
			position++
			if position <= exactPositions && p.position != position || p.position < position || p.position > position+p.position/10+1 {
				t.Fatalf("%s at position %d has %d in its status", p.key, position, p.position)
			}
			return true
		})
	}
	if writes > 300*50 {
		t.Errorf("%d writes for 300 that waited", writes)
	}
}

func TestPositionsAfterARestart(t *testing.T) {
	l, _ := opened()
	l.Register(typeT, 1)
	l.Observe(with(newProcess("a", 0), at(1)), true)
	l.Observe(with(newProcess("b", 1), at(2)), false)
	l.Observe(with(newProcess("c", 2), at(2)), false)
	if due, _ := l.DuePositions(9); len(due) != 1 || due[0].Process != key("b") || due[0].Position != 1 {
		t.Errorf("due are %v, want b at 1", due)
	}
	if obsolete := l.ObsoletePositions(); len(obsolete) != 1 || obsolete[0].Process != key("a") {
		t.Errorf("obsolete are %v, want that of a, which runs", obsolete)
	}
}

func TestFailedPositionWriteIsRepeated(t *testing.T) {
	l, _ := opened()
	l.Register(typeT, 1)
	l.Observe(newProcess("a", 0), false)
	l.Observe(newProcess("b", 1), false)
	for range 2 {
		due, _ := l.DuePositions(9)
		if len(due) != 1 || due[0].Process != key("b") {
			t.Fatalf("due are %v, want b", due)
		}
		l.PositionWritten(due[0], false)
	}
	// b is admitted while its position is being written.
	due, _ := l.DuePositions(9)
	l.Forget(key("a"), "uid-a")
	l.PositionWritten(due[0], true)
	if obsolete := l.ObsoletePositions(); len(obsolete) != 1 || obsolete[0].Process != key("b") {
		t.Errorf("obsolete are %v, want that of b", obsolete)
	}
}

func TestTypesAlternate(t *testing.T) {
	l, _ := opened()
	for _, typeName := range []string{"a", "b"} {
		l.Register(key(typeName), 1)
		for i := range 10 {
			p := newProcess(fmt.Sprint(typeName, i), i)
			p.Spec.Type = typeName
			l.Observe(p, false)
		}
	}
	var first []string
	for range 4 {
		due, _ := l.DuePositions(2)
		first = append(first, due[0].Process.Name)
		for _, u := range due {
			l.PositionWritten(u, true)
		}
	}
	slices.Sort(first[:2]) // nothing decides which type is the first of all
	slices.Sort(first[2:])
	if diff := cmp.Diff([]string{"a1", "b1", "a3", "b3"}, first); diff != "" {
		t.Error(diff)
	}
}
