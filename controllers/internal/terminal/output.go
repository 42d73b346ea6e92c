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

// CheckOutput is what becomes of a result by its type's outputSchema: an output
// that is not what the schema asks for makes it a final OutputInvalid, which
// says where in the words that inputs are refused with. Anything else stays.
func CheckOutput(s *schema.Schema, r agentapi.Result) agentapi.Result {
	if !r.Complete() {
		return r
	}
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

// of is the schema that outputs of a Process are held against: its type's, as the
// type is now. nil when there is none: the type has been deleted, or changed to
// a schema that is not valid, which its condition Accepted says. A worker's work
// is not thrown away for that.
func (o *outputSchemas) of(ctx context.Context, reader client.Reader, p *v1alpha1.Process) (*schema.Schema, error) {
	key := client.ObjectKey{Namespace: p.Namespace, Name: p.Spec.Type}
	t := &v1alpha1.ProcessType{}
	err := reader.Get(ctx, key, t)
	if err != nil && !apierrors.IsNotFound(err) {
		return nil, fmt.Errorf("get process type: %w", err)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if err != nil {
		delete(o.known, key)
		return nil, nil
	}
	if k := o.known[key]; k.uid == t.UID && k.generation == t.Generation {
		return k.compiled, nil
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
	return compiled, nil
}
