// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

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
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"procman.dev/procman/api/v1alpha1"
	"procman.dev/procman/controllers/internal/ledger"
)

// statusWriter records each status patch and returns answer.
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

// written returns the patches since the last call.
func (w *statusWriter) written() []string {
	written := slices.Sorted(slices.Values(w.patches))
	w.patches = nil
	return written
}

func TestPositionsAreWritten(t *testing.T) {
	patch := func(name string, position any) string {
		return fmt.Sprintf(`%s work/status {"metadata":{"uid":"uid-%s"},"status":{"queuePosition":%v}}`, name, name, position)
	}
	gone := apierrors.NewNotFound(schema.GroupResource{}, "gone")
	broken := errors.New("broken")
	synctest.Test(t, func(t *testing.T) {
		l := ledger.New(clock.RealClock{})
		l.Open()
		l.Register(client.ObjectKey{Namespace: "work", Name: "t"}, 1)
		observe := func(names ...string) {
			for i, name := range names {
				l.Observe(&v1alpha1.Process{
					ObjectMeta: metav1.ObjectMeta{Namespace: "work", Name: name, UID: types.UID("uid-" + name), CreationTimestamp: metav1.NewTime(time.Now().Add(time.Duration(i)))},
					Spec:       v1alpha1.ProcessSpec{Type: "t"},
				}, false)
			}
		}
		end := func(name string) {
			l.Forget(client.ObjectKey{Namespace: "work", Name: name}, types.UID("uid-"+name))
		}
		w := &statusWriter{answer: func(string) error { return nil }}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- (&Positions{Client: w.client(), Ledger: l}).Start(ctx) }()
		after := func(d time.Duration, what string, want ...string) {
			t.Helper()
			time.Sleep(d) //nolint:forbidigo // synctest's time
			synctest.Wait()
			if diff := cmp.Diff(want, w.written()); diff != "" {
				t.Errorf("%s: %s", what, diff)
			}
		}
		observe("a", "b", "c", "d")
		after(999*time.Millisecond, "a new process may be admitted at once")
		after(time.Millisecond, "processes that wait for a second", patch("b", 1), patch("c", 2), patch("d", 3))
		end("a")
		after(time.Second, "one is admitted", patch("b", "null"))
		after(3*time.Second, "not so soon again")
		after(time.Second, "the others, later", patch("c", 1), patch("d", 2))

		w.answer = func(string) error { return broken }
		end("b")
		after(time.Second, "a write that fails", patch("c", "null"))
		after(4*time.Second, "is repeated", patch("c", "null"), patch("d", 1))
		w.answer = func(name string) error { return map[string]error{"d": gone}[name] }
		after(5*time.Second, "until it succeeds", patch("c", "null"), patch("d", 1))
		after(time.Hour, "one that was deleted is not written again")
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}
