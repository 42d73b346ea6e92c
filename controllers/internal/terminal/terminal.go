// Package terminal writes the one terminal status of a Process: the collector
// with what the agent delivered, the process controller with what it finds in
// the cluster. Whoever is first wins; nobody overwrites.
package terminal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	logf "sigs.k8s.io/controller-runtime/pkg/log"

	"procman.dev/procman/api/v1alpha1"
	"procman.dev/procman/controllers/internal/prose"
	"procman.dev/procman/internal/agentapi"
	"procman.dev/procman/internal/errorcode"
	"procman.dev/procman/internal/rules"
)

// maxObjectBytes is the size of the largest Process that is written: below
// etcd's default bound of 1.5 MiB for a request, with room for its envelope.
const maxObjectBytes = 3<<19 - 64<<10

// sureBytes is a size of the output under which any Process fits whose input the
// facade has taken, and need not be measured.
const sureBytes = 16 << 10

// Status is the terminal status that a result gives a Process at now. A result
// without a StartTime is one where no worker ran.
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
		s.ErrorCode, s.ErrorDetails = r.ErrorCode, bounded(withAttempts(r))
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

// withAttempts adds to the details of a worker's crash how often it was tried
// (CONTRACT.md, section 2, WorkerFailed).
func withAttempts(r agentapi.Result) string {
	details := map[string]any{}
	if !r.Retry || r.Attempt == 0 || json.Unmarshal([]byte(r.ErrorDetails), &details) != nil {
		return r.ErrorDetails
	}
	details["attempts"] = r.Attempt
	// What was just decoded encodes.
	text, _ := json.Marshal(details)
	return string(text)
}

// bounded leaves out what is expected, as long as the schema that says it, from
// details that are longer than a status takes.
func bounded(details string) string {
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

// message is what the details say; the condition's is for people.
func message(details string) string {
	said := errorcode.Explain(details)
	if said == "" {
		return "the worker ended the process with an error of its own; see status.errorDetails"
	}
	return prose.Cut(said, 1024)
}

// Writer commits terminal states.
type Writer struct {
	Client client.Client
	// Live reads past the cache.
	Live  client.Reader
	Clock clock.PassiveClock
	// Rules are those of the process types that outputs are checked against.
	Rules *rules.Cache
}

// Commit gives the Process its terminal status, in one write, unless it has one
// already. Both ways of a result lead through here, so here its output is checked
// against its type. p is a Process as some cache had it. Returns a
// NotFound error when the Process, by its UID, is gone.
func (w *Writer) Commit(ctx context.Context, p *v1alpha1.Process, r agentapi.Result, jobName string) error {
	if r.Complete() {
		var err error
		if r, err = w.checkOutput(ctx, p, r); err != nil {
			return err
		}
	}
	if len(r.Output) > sureBytes {
		var err error
		if p, err = w.read(ctx, p); err != nil {
			return err
		}
		if !fits(p, r.Output) {
			tooLarge := agentapi.Failure(errorcode.OutputTooLarge, map[string]any{
				"bytes": len(r.Output), "message": "input and output together are more than the cluster can store",
			})
			tooLarge.Attempt, tooLarge.StartTime = r.Attempt, r.StartTime
			r = tooLarge
		}
	}
	for {
		if p.Finished() {
			return nil
		}
		patch, err := json.Marshal(map[string]any{
			"metadata": map[string]any{"resourceVersion": p.ResourceVersion, "uid": p.UID},
			"status":   inLineNoMore{ProcessStatus: Status(p, r, jobName, w.Clock.Now())},
		})
		if err != nil {
			return fmt.Errorf("encode status patch: %w", err)
		}
		written := &v1alpha1.Process{ObjectMeta: metav1.ObjectMeta{Name: p.Name, Namespace: p.Namespace}}
		err = w.Client.Status().Patch(ctx, written, client.RawPatch(types.MergePatchType, patch))
		if err == nil {
			logf.FromContext(ctx).Info("process finished", "process", p.Name, "state", written.Status.State,
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

// checkOutput returns r, or the failure that r becomes because the type, as it is
// now, does not allow its output. The agent has checked the size, too, but anyone
// with a worker's token can send a result.
//
// An output counts as it is when its type was deleted, or was changed to an
// outputSchema that is not valid: the worker's work is not thrown away for that.
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
		return agentapi.Result{Attempt: r.Attempt, StartTime: r.StartTime, ErrorCode: v.Code, ErrorDetails: v.ErrorDetails()}, nil
	}
	if err != nil {
		logf.FromContext(ctx).Info("output not checked", "process", p.Name, "type", t.Name, "cause", err.Error())
	}
	return r, nil
}

// inLineNoMore is a status that, as a patch, takes the position away; what a
// patch does not name stays.
type inLineNoMore struct {
	v1alpha1.ProcessStatus
	QueuePosition *int32 `json:"queuePosition"`
}

// read reads the Process past the cache; one of the same name but another UID
// is not it.
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

// fits says whether the Process with this output is small enough to be stored,
// as the JSON that etcd gets.
func fits(p *v1alpha1.Process, output string) bool {
	whole := p.DeepCopy()
	whole.ManagedFields = nil
	whole.Status.Output = output
	text, err := json.Marshal(whole)
	return err == nil && len(text) <= maxObjectBytes
}
