// Package terminal writes the terminal status of a Process. The collector writes
// what the agent delivered, the process controller what it concludes from Job and
// pods. The first one wins; a terminal status is never overwritten.
package terminal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	logf "sigs.k8s.io/controller-runtime/pkg/log"

	"procman.dev/procman/api/v1alpha1"
	"procman.dev/procman/controllers/internal/prose"
	"procman.dev/procman/controllers/internal/statuspatch"
	"procman.dev/procman/internal/agentapi"
	"procman.dev/procman/internal/errorcode"
	"procman.dev/procman/internal/rules"
)

// maxObjectBytes is the maximum size of a Process that is written. It is the default
// limit of etcd for a request, 1.5 MiB, less room for the rest of the request.
const maxObjectBytes = 3<<19 - 64<<10

// alwaysFitsBytes is an output size for which the Process need not be measured: with
// any input that the facade accepts, it is smaller than maxObjectBytes.
const alwaysFitsBytes = 16 << 10

// Status returns the terminal status of a Process with a result, at the time now. In
// a result without StartTime no worker ran.
func Status(p *v1alpha1.Process, r agentapi.Result, jobName string, now time.Time) v1alpha1.ProcessStatus {
	s := v1alpha1.ProcessStatus{
		State:           v1alpha1.StateComplete,
		Output:          r.Output,
		PercentComplete: p.Status.PercentComplete,
		CompletionTime:  metav1.NewTime(now),
		ExpirationTime:  metav1.NewTime(p.ExpirationTime()),
		JobName:         jobName,
	}
	finished := metav1.Condition{
		Type:               v1alpha1.ConditionFinished,
		Status:             metav1.ConditionTrue,
		Reason:             "Complete",
		Message:            "the worker delivered its output",
		LastTransitionTime: metav1.NewTime(now),
	}
	if !r.Complete() {
		s.State, s.Output = v1alpha1.StateError, ""
		s.ErrorCode, s.ErrorDetails = r.ErrorCode, shorten(withAttempts(r))
		finished.Reason, finished.Message = r.ErrorCode, message(s.ErrorDetails)
	}
	if !r.StartTime.IsZero() {
		s.StartTime = metav1.NewTime(r.StartTime)
	}
	if r.Attempt > 0 {
		s.Attempts = new(r.Attempt)
	}
	s.Conditions = []metav1.Condition{finished}
	return s
}

// withAttempts adds the number of attempts to the details of a worker that crashed
// (docs/contract.md, section 2, WorkerFailed).
func withAttempts(r agentapi.Result) string {
	details := map[string]any{}
	if !r.Retry || r.Attempt == 0 || json.Unmarshal([]byte(r.ErrorDetails), &details) != nil {
		return r.ErrorDetails
	}
	details["attempts"] = r.Attempt
	text, _ := json.Marshal(details) // it was decoded from JSON, so it can be encoded
	return string(text)
}

// shorten removes the member expected, which can be as long as the schema, from
// details that are too long for the status.
func shorten(details string) string {
	if len(details) <= agentapi.MaxErrorDetailsBytes {
		return details
	}
	members := map[string]json.RawMessage{}
	if json.Unmarshal([]byte(details), &members) != nil {
		return ""
	}
	delete(members, "expected")
	text, err := json.Marshal(members)
	if err != nil || len(text) > agentapi.MaxErrorDetailsBytes {
		return ""
	}
	return string(text)
}

// message returns the details as a sentence for people, for the condition.
func message(details string) string {
	explanation := errorcode.Explain(details)
	if explanation == "" {
		return "the worker ended the process with an error of its own; see status.errorDetails"
	}
	return prose.Cut(explanation, 1024)
}

// Writer commits terminal states.
type Writer struct {
	Client client.Client
	// Live reads from the API server, not from the cache.
	Live  client.Reader
	Clock clock.PassiveClock
	// Rules has the rules of the process types, to validate outputs.
	Rules *rules.Cache
}

// Commit writes the terminal status of the Process, in one write, unless it has one
// already. Every result passes through here, so the output is validated here against
// the limit and the outputSchema of the type. p may come from a cache. Commit returns
// a NotFound error if the Process with this UID does not exist any more.
func (w *Writer) Commit(ctx context.Context, p *v1alpha1.Process, r agentapi.Result, jobName string) error {
	if r.Complete() {
		var err error
		if r, err = w.checkOutput(ctx, p, r); err != nil {
			return err
		}
	}
	if len(r.Output) > alwaysFitsBytes {
		var err error
		if p, err = w.read(ctx, p); err != nil {
			return err
		}
		if !fits(p, r.Output) {
			r = r.Failed(errorcode.OutputTooLarge, map[string]any{
				"bytes": len(r.Output), "message": "input and output together are larger than the cluster can store",
			})
		}
	}
	for {
		if p.Finished() {
			return nil
		}
		status := Status(p, r, jobName, w.Clock.Now())
		err := statuspatch.ApplyLocked(ctx, w.Client, p, terminalPatch{ProcessStatus: status})
		if err == nil {
			logf.FromContext(ctx).Info("process finished", "process", p.Name, "state", status.State,
				"errorCode", r.ErrorCode, "attempts", r.Attempt)
			return nil
		}
		if !apierrors.IsConflict(err) {
			return fmt.Errorf("patch process status: %w", err)
		}
		if p, err = w.read(ctx, p); err != nil {
			return err
		}
	}
}

// checkOutput returns r, or an error result if the type, as it is now, does not allow
// the output. The agent has checked the size too, but anyone with the token of a worker
// can send a result.
//
// The output is not checked if the type was deleted, or if its new outputSchema does not
// compile: the work of the worker is not lost for that.
func (w *Writer) checkOutput(ctx context.Context, p *v1alpha1.Process, r agentapi.Result) (agentapi.Result, error) {
	key := client.ObjectKey{Namespace: p.Namespace, Name: p.Spec.Type}
	t := &v1alpha1.ProcessType{}
	err := w.Client.Get(ctx, key, t)
	if apierrors.IsNotFound(err) {
		w.Rules.Forget(key)
		return r, nil
	}
	if err != nil {
		return r, fmt.Errorf("get process type: %w", err)
	}
	err = w.Rules.Of(t).CheckOutput([]byte(r.Output))
	if v, ok := errors.AsType[*rules.Violation](err); ok {
		return r.Failed(v.Code, v.Details), nil
	}
	if err != nil {
		logf.FromContext(ctx).Info("output not checked", "process", p.Name, "type", t.Name, "cause", err.Error())
	}
	return r, nil
}

// terminalPatch is a terminal status as a merge patch. It also removes
// queuePosition: its own QueuePosition, always null, hides that of ProcessStatus,
// which JSON would leave out.
type terminalPatch struct {
	v1alpha1.ProcessStatus
	QueuePosition *int32 `json:"queuePosition"`
}

// read reads the Process from the API server. It returns a NotFound error if a
// Process with this name exists, but with another UID.
func (w *Writer) read(ctx context.Context, p *v1alpha1.Process) (*v1alpha1.Process, error) {
	live := &v1alpha1.Process{}
	if err := w.Live.Get(ctx, client.ObjectKeyFromObject(p), live); err != nil {
		return nil, fmt.Errorf("read process: %w", err)
	}
	if live.UID != p.UID {
		return nil, apierrors.NewNotFound(v1alpha1.GroupVersion.WithResource("processes").GroupResource(), p.Name)
	}
	return live, nil
}

// fits reports whether the Process with this output, as JSON in etcd, is small enough
// to be stored.
func fits(p *v1alpha1.Process, output string) bool {
	stored := p.DeepCopy()
	stored.ManagedFields = nil
	stored.Status.Output = output
	text, err := json.Marshal(stored)
	return err == nil && len(text) <= maxObjectBytes
}
