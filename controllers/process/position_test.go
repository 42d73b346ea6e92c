package process

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"procman.dev/procman/controllers/internal/queue"
)

// statusWriter notes each patch of a status and answers as told.
type statusWriter struct {
	patches []string
	answer  func(name string) error
}

func (w *statusWriter) client() client.Client {
	return interceptor.NewClient(nil, interceptor.Funcs{
		SubResourcePatch: func(_ context.Context, _ client.Client, subresource string, o client.Object, p client.Patch, _ ...client.SubResourcePatchOption) error {
			data, err := p.Data(o)
			if err != nil {
				return err
			}
			w.patches = append(w.patches, fmt.Sprintf("%s %s/%s %s", o.GetName(), o.GetNamespace(), subresource, data))
			return w.answer(o.GetName())
		},
	})
}

// written are the patches since it was last asked.
func (w *statusWriter) written() []string {
	written := slices.Sorted(slices.Values(w.patches))
	w.patches = nil
	return written
}

func TestPositionsAreShownInTime(t *testing.T) {
	says := func(name string, place any) string {
		return fmt.Sprintf(`%s work/status {"metadata":{"uid":"uid-%s"},"status":{"queuePosition":%v}}`, name, name, place)
	}
	gone := apierrors.NewNotFound(schema.GroupResource{}, "gone")
	broken := errors.New("broken")
	synctest.Test(t, func(t *testing.T) {
		q := queue.New(clock.RealClock{})
		q.Admits("nobody", "")
		q.Register("t", 1)
		observe := func(names ...string) {
			for i, name := range names {
				q.Observe(queue.Process{Name: name, UID: types.UID("uid-" + name), Type: "t", Created: time.Now().Add(time.Duration(i))})
			}
		}
		end := func(name string) { q.Forget(name, types.UID("uid-"+name)) }
		w := &statusWriter{answer: func(string) error { return nil }}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- (&Positions{Client: w.client(), Queue: q, Namespace: "work"}).Start(ctx) }()
		after := func(d time.Duration, what string, want ...string) {
			t.Helper()
			time.Sleep(d) //nolint:forbidigo // synctest's time
			synctest.Wait()
			if diff := cmp.Diff(want, w.written()); diff != "" {
				t.Errorf("%s: %s", what, diff)
			}
		}
		observe("a", "b", "c", "d")
		after(999*time.Millisecond, "those who have just come may go at once")
		after(time.Millisecond, "who waits for a second", says("b", 1), says("c", 2), says("d", 3))
		end("a")
		after(time.Second, "whose turn it is", says("b", "null"))
		after(3*time.Second, "not so soon again")
		after(time.Second, "the others, later", says("c", 1), says("d", 2))

		w.answer = func(string) error { return broken }
		end("b")
		after(time.Second, "a write that does not work", says("c", "null"))
		after(4*time.Second, "is tried again", says("c", "null"), says("d", 1))
		w.answer = func(name string) error { return map[string]error{"d": gone}[name] }
		after(5*time.Second, "until it works", says("c", "null"), says("d", 1))
		after(time.Hour, "one that is gone is left alone")
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}
