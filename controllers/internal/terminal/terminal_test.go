// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package terminal

import (
	"context"
	"strings"
	"testing"
	"time"

	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"procman.dev/procman/api/v1alpha1"
	"procman.dev/procman/internal/agentapi"
)

func TestCommitTakesThePositionAway(t *testing.T) {
	var patch []byte
	c := interceptor.NewClient(nil, interceptor.Funcs{
		Get: func(context.Context, client.WithWatch, client.ObjectKey, client.Object, ...client.GetOption) error {
			return nil
		},
		SubResourcePatch: func(_ context.Context, _ client.Client, _ string, o client.Object, p client.Patch, _ ...client.SubResourcePatchOption) (err error) {
			patch, err = p.Data(o)
			return err
		},
	})
	w := &Writer{Client: c, Clock: clocktesting.NewFakePassiveClock(time.Unix(0, 0))}
	p := &v1alpha1.Process{Status: v1alpha1.ProcessStatus{State: v1alpha1.StateProcessing, QueuePosition: 3}}
	if err := w.Commit(t.Context(), p, agentapi.Result{ErrorCode: "No"}, "job"); err != nil {
		t.Fatal(err)
	}
	// A merge patch takes away what it says is null, and nothing else.
	if !strings.Contains(string(patch), `"queuePosition":null`) || !strings.Contains(string(patch), `"state":"error"`) {
		t.Errorf("the patch is %s", patch)
	}
}
