package process

import (
	"context"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	logf "sigs.k8s.io/controller-runtime/pkg/log"

	"procman.dev/procman/api/v1alpha1"
	"procman.dev/procman/controllers/internal/queue"
	"procman.dev/procman/controllers/internal/statuspatch"
)

const (
	// showDelay lets those whose turn comes soon pass without a write.
	showDelay = time.Second
	// showInterval is how far apart positions are brought up to date at least,
	// and showLimit how many at a time: 20 writes in a second at most.
	showInterval = 5 * time.Second
	showLimit    = 100
)

// Positions shows those who wait their place in line, in status.queuePosition.
// It is the only writer of that field but for the terminal status, and runs on
// the leader alone (docs/adr/0013).
type Positions struct {
	Client client.Client
	Queue  *queue.Queue
	// Namespace is where the Processes are.
	Namespace string
}

// Start shows positions until ctx ends. It sleeps while no line moves.
func (s *Positions) Start(ctx context.Context) error {
	var shown time.Time // when positions were last brought up to date
	var again <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-s.Queue.Changed():
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(showDelay):
			}
		case <-again:
		}
		select {
		case <-s.Queue.Changed(): // what has changed until now is about to be shown
		default:
		}
		again = nil
		sound := s.show(ctx, s.Queue.Outdated())
		if wait := showInterval - time.Since(shown); wait > 0 {
			again = time.After(wait)
			continue
		}
		due, more := s.Queue.Due(showLimit)
		sound = s.show(ctx, due) && sound
		shown = time.Now()
		if more || !sound {
			again = time.After(showInterval)
		}
	}
}

// show writes positions and says whether none has to be tried again.
func (s *Positions) show(ctx context.Context, all []queue.Position) (sound bool) {
	sound = true
	for _, p := range all {
		err := s.write(ctx, p)
		s.Queue.Showed(p, err == nil)
		if err != nil && ctx.Err() == nil {
			logf.FromContext(ctx).Error(err, "show position", "process", p.Name)
			sound = false
		}
	}
	return sound
}

// write needs no lock: the schema refuses to change queuePosition of a Process
// that is terminal.
func (s *Positions) write(ctx context.Context, p queue.Position) error {
	var position *int32 // null removes it
	if p.Place > 0 {
		position = &p.Place
	}
	target := &v1alpha1.Process{ObjectMeta: metav1.ObjectMeta{Namespace: s.Namespace, Name: p.Name, UID: p.UID}}
	err := statuspatch.Apply(ctx, s.Client, target, map[string]any{"queuePosition": position})
	if apierrors.IsNotFound(err) || apierrors.IsInvalid(err) {
		return nil // deleted or terminal: it has no position any more
	}
	return err
}
