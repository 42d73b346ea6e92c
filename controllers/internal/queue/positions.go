package queue

import "k8s.io/apimachinery/pkg/types"

// exact is how many at the front of a line are shown their position as it is.
// Those behind are within a tenth of it: the way from place 10,000 to the front
// is then some 80 writes, not 10,000.
const exact = 20

// Position is what a Process's status is to say of its place in line.
type Position struct {
	Name string
	UID  types.UID
	// Place is counted from 1; 0 takes it from the status, as the Process does
	// not wait any more.
	Place int32
}

// Changed has a value when Outdated or Due may have something new.
func (q *Queue) Changed() <-chan struct{} { return q.changed }

// Outdated are the Processes that do not wait any more and whose status has yet
// to say so.
func (q *Queue) Outdated() []Position {
	q.mu.Lock()
	defer q.mu.Unlock()
	positions := make([]Position, 0, len(q.outdated))
	for m := range q.outdated {
		positions = append(positions, Position{Name: m.name, UID: m.uid})
	}
	return positions
}

// Due are up to limit positions worth a write, those at the front of each line
// first. Types take turns at being the first. more says that limit left some
// out.
func (q *Queue) Due(limit int) (due []Position, more bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, typeName := range q.typeNames() {
		l := q.lines[typeName]
		if !l.moved {
			continue
		}
		if len(due) == limit {
			return due, true
		}
		q.cursor = typeName
		place := int32(0)
		l.moved = false
		l.waiting.Ascend(func(m *member) bool {
			place++
			if !worthShowing(place, m.shown) {
				return true
			}
			if len(due) == limit {
				l.moved = true
				return false
			}
			due = append(due, Position{Name: m.name, UID: m.uid, Place: place})
			return true
		})
		more = more || l.moved
	}
	return due, more
}

// worthShowing says whether a status that says shown misleads about place.
func worthShowing(place, shown int32) bool {
	off := max(place-shown, shown-place)
	switch {
	case off == 0:
		return false
	case shown == 0 || place <= exact:
		return true
	}
	return off*10 >= shown
}

// Showed takes in that a Process's status says p; with ok false, that writing it
// did not work and is to be tried again.
func (q *Queue) Showed(p Position, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	m := q.members[p.Name]
	if m == nil || m.uid != p.UID {
		return
	}
	if !ok {
		m.line.moved = true
		return
	}
	q.show(m, p.Place) // its turn may have come meanwhile
}

func (q *Queue) signal() {
	select {
	case q.changed <- struct{}{}:
	default: // nobody has looked since the last one
	}
}
