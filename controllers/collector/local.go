package collector

import (
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"

	"k8s.io/utils/clock"

	"procman.dev/procman/api/v1alpha1"
	"procman.dev/procman/controllers/internal/terminal"
	"procman.dev/procman/internal/agentapi"
	"procman.dev/procman/internal/rules"
)

// Local is the collector of one process on a machine without a cluster. It
// serves the same endpoints to the same agent and holds what the agent delivers
// against the same rules; the process is kept in memory.
type Local struct {
	token string
	rules *rules.Rules
	clock clock.PassiveClock
	mux   *http.ServeMux

	// OnInput and OnProgress are told of each fetched input and of each report
	// of progress. Set before the collector is served; nil tells nobody.
	OnInput    func()
	OnProgress func(percent int32)

	mu      sync.Mutex
	process *v1alpha1.Process
	attempt int32
	last    bool
	// delivered is what the attempt came to; nil until it is known.
	delivered *agentapi.Result
}

// NewLocal makes the collector of process p, of type t, for agents that bear
// token. The error says that the type's outputSchema is no schema.
func NewLocal(t *v1alpha1.ProcessType, p *v1alpha1.Process, token string, c clock.PassiveClock) (*Local, error) {
	l := &Local{token: token, rules: rules.New(t), clock: c, process: p.DeepCopy(), mux: http.NewServeMux()}
	if err := l.rules.OutputSchemaError(); err != nil {
		return nil, err
	}
	l.mux.HandleFunc("GET "+agentapi.InputPath, l.assigned(l.serveInput))
	l.mux.HandleFunc("PUT "+agentapi.ResultPath, l.assigned(l.serveResult))
	l.mux.HandleFunc("PUT "+agentapi.ProgressPath, l.assigned(l.serveProgress))
	return l, nil
}

// ServeHTTP serves agentapi's endpoints.
func (l *Local) ServeHTTP(w http.ResponseWriter, r *http.Request) { l.mux.ServeHTTP(w, r) }

// Begin starts attempt number n, from 1; last says that none comes after it.
func (l *Local) Begin(n int32, last bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.attempt, l.last, l.delivered = n, last, nil
}

// End says what the attempt came to and whether another one is due. receipt is
// what its agent left, or the lack of it; it counts when nothing was delivered.
func (l *Local) End(receipt agentapi.Result) (result agentapi.Result, again bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.delivered == nil {
		l.take(receipt)
	}
	return *l.delivered, !l.process.Finished()
}

// Process is the process as it stands.
func (l *Local) Process() *v1alpha1.Process {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.process.DeepCopy()
}

func (l *Local) assigned(handle func(http.ResponseWriter, *http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if subtle.ConstantTimeCompare([]byte(r.Header.Get("Authorization")), []byte("Bearer "+l.token)) != 1 {
			http.Error(w, http.StatusText(http.StatusUnauthorized), http.StatusUnauthorized)
			return
		}
		err := handle(w, r)
		switch {
		case err == nil:
		case errors.Is(err, errNotWanted):
			http.Error(w, err.Error(), http.StatusConflict)
		default:
			http.Error(w, err.Error(), http.StatusBadRequest)
		}
	}
}

func (l *Local) serveInput(w http.ResponseWriter, _ *http.Request) error {
	l.mu.Lock()
	input, attempt := l.process.Spec.Input, l.attempt
	l.mu.Unlock()
	if l.OnInput != nil {
		l.OnInput()
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set(agentapi.HeaderAttempt, strconv.Itoa(int(attempt)))
	_, _ = io.WriteString(w, input)
	return nil
}

func (l *Local) serveResult(w http.ResponseWriter, r *http.Request) error {
	var result agentapi.Result
	if err := decode(r, maxResultBytes, &result); err != nil {
		return err
	}
	if err := check(&result); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.delivered != nil {
		return fmt.Errorf("%w: the attempt has a result", errNotWanted)
	}
	l.take(result)
	return nil
}

// take makes a result the attempt's, and the process's unless a later attempt
// may do better.
func (l *Local) take(r agentapi.Result) {
	if v, ok := errors.AsType[*rules.Violation](l.checkOutput(r)); ok {
		r = agentapi.Result{StartTime: r.StartTime, ErrorCode: v.Code, ErrorDetails: v.ErrorDetails()}
	}
	r.Attempt = l.attempt
	l.delivered = &r
	if r.Retry && (r.Interrupted || !l.last) {
		return
	}
	l.process.Status = terminal.Status(l.process, r, "", l.clock.Now())
}

func (l *Local) checkOutput(r agentapi.Result) error {
	if !r.Complete() {
		return nil
	}
	return l.rules.CheckOutput([]byte(r.Output))
}

func (l *Local) serveProgress(w http.ResponseWriter, r *http.Request) error {
	var progress agentapi.Progress
	if err := decode(r, 1<<10, &progress); err != nil {
		return err
	}
	if progress.PercentComplete < 0 || progress.PercentComplete > 100 {
		return fmt.Errorf("%w: percentComplete %d", errBadRequest, progress.PercentComplete)
	}
	l.mu.Lock()
	l.process.Status.PercentComplete = new(progress.PercentComplete)
	l.mu.Unlock()
	if l.OnProgress != nil {
		l.OnProgress(progress.PercentComplete)
	}
	return nil
}
