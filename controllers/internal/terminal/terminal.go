// Package terminal writes the one terminal status of a Process: the collector
// with what the agent delivered, the process controller with what it finds in
// the cluster. Whoever is first wins; nobody overwrites.
package terminal

import (
	"context"
	"encoding/json"
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

	outputs outputSchemas
}

// Commit gives the Process its terminal status, in one write, unless it has one
// already. Both ways of a result lead through here, so here its output is held
// against the type's limit and outputSchema. p is a Process as some cache had it. Returns a
// NotFound error when the Process, by its UID, is gone.
func (w *Writer) Commit(ctx context.Context, p *v1alpha1.Process, r agentapi.Result, jobName string) error {
	if r.Complete() {
		rules, err := w.outputs.of(ctx, w.Client, p)
		if err != nil {
			return err
		}
		r = rules.Check(r)
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

// terminalPatch is a terminal status as a merge patch. It also removes
// queuePosition: its own QueuePosition, always null, hides that of ProcessStatus,
// which JSON would leave out.
type terminalPatch struct {
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
