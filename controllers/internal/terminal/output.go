package terminal

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	logf "sigs.k8s.io/controller-runtime/pkg/log"

	"procman.dev/procman/api/v1alpha1"
	"procman.dev/procman/internal/agentapi"
	"procman.dev/procman/internal/errorcode"
	"procman.dev/procman/internal/schema"
)

// OutputRules are what a type asks of an output.
type OutputRules struct {
	// Schema is nil where outputs are taken as they are.
	Schema *schema.Schema
	// MaxBytes is the largest size; 0 for no limit but the cluster's.
	MaxBytes int
}

// Check is what becomes of a result by these rules: an output that is too large
// makes it a final OutputTooLarge, one that is not what the schema asks for a
// final OutputInvalid, which says where in the words that inputs are refused
// with. Anything else stays. The agent measures outputs, too; but who bears a
// worker's token need not be one.
func (o OutputRules) Check(r agentapi.Result) agentapi.Result {
	switch {
	case !r.Complete():
		return r
	case o.MaxBytes > 0 && len(r.Output) > o.MaxBytes:
		tooLarge := agentapi.Failure(errorcode.OutputTooLarge, map[string]any{
			"in": "output", "bytes": len(r.Output), "maxBytes": o.MaxBytes,
			"message": "the output is larger than limits.outputBytes of the type",
		})
		tooLarge.Attempt, tooLarge.StartTime = r.Attempt, r.StartTime
		return tooLarge
	case o.Schema == nil:
		return r
	}
	return checkOutput(o.Schema, r)
}

func checkOutput(s *schema.Schema, r agentapi.Result) agentapi.Result {
	violation := s.Validate("output", []byte(r.Output))
	if violation == nil {
		return r
	}
	details := struct {
		schema.Details
		Message string `json:"message"`
	}{violation.Details, "the output is not what the type's outputSchema asks for"}
	details.In = "output"
	switch violation.Code {
	case errorcode.MissingInput:
		details.Message = "the type's outputSchema requires a property that the output does not have"
	case errorcode.UnrecognizedInput:
		details.Message = "the output has a property that the type's outputSchema does not name"
	}
	// Texts, and JSON that came out of a schema, always encode.
	text, _ := json.Marshal(details)
	return agentapi.Result{Attempt: r.Attempt, StartTime: r.StartTime, ErrorCode: errorcode.OutputInvalid, ErrorDetails: string(text)}
}

// outputSchemas keeps the compiled outputSchema of each type: compiling costs
// more than most outputs do. The zero value is ready for use.
type outputSchemas struct {
	mu    sync.Mutex
	known map[client.ObjectKey]outputSchema
}

type outputSchema struct {
	uid        types.UID
	generation int64
	compiled   *schema.Schema
}

// of are the rules that outputs of a Process are held against: its type's, as the
// type is now. None when the type has been deleted, and no schema when it was
// changed to one that is not valid, which its condition Accepted says. A worker's
// work is not thrown away for that.
func (o *outputSchemas) of(ctx context.Context, reader client.Reader, p *v1alpha1.Process) (OutputRules, error) {
	key := client.ObjectKey{Namespace: p.Namespace, Name: p.Spec.Type}
	t := &v1alpha1.ProcessType{}
	err := reader.Get(ctx, key, t)
	if err != nil && !apierrors.IsNotFound(err) {
		return OutputRules{}, fmt.Errorf("get process type: %w", err)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if err != nil {
		delete(o.known, key)
		return OutputRules{}, nil
	}
	if k := o.known[key]; k.uid == t.UID && k.generation == t.Generation {
		return OutputRules{k.compiled, t.MaxOutputBytes()}, nil
	}
	compiled, err := schema.Compile(t.Spec.OutputSchema)
	if err != nil {
		logf.FromContext(ctx).Info("outputs are not checked: the outputSchema is not valid", "type", t.Name, "cause", err.Error())
		compiled = nil
	}
	if o.known == nil {
		o.known = map[client.ObjectKey]outputSchema{}
	}
	o.known[key] = outputSchema{t.UID, t.Generation, compiled}
	return OutputRules{compiled, t.MaxOutputBytes()}, nil
}
