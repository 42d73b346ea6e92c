package agent

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"procman.dev/procman/internal/agentapi"
)

// What ends the asking.
var (
	// errNotWanted: the process is over or gone.
	errNotWanted = errors.New("not wanted by the collector")
	// errSuperseded, which is an errNotWanted: a newer attempt has taken its place,
	// and the Job must not end for this one.
	errSuperseded = fmt.Errorf("%w: superseded", errNotWanted)
	// errRefused: the collector cannot read what it was sent, and never will.
	errRefused = errors.New("refused by the collector")
)

// tooEarlyError: the pause before this attempt lasts for so long.
type tooEarlyError struct{ wait time.Duration }

func (e *tooEarlyError) Error() string { return "the attempt is due in " + e.wait.String() }

// Bounds of one request and of the pauses between tries.
const (
	requestTimeout = 15 * time.Second
	firstPause     = 20 * time.Millisecond
	longestPause   = 5 * time.Second
	// inputTimeout bounds the getting of the input, but for the pause before the
	// attempt; after it the attempt fails.
	inputTimeout = 5 * time.Minute
	// maxInputBytes is far above any limit a type can set.
	maxInputBytes = 16 << 20
)

// collector is the agent's client of the operator's collector.
type collector struct {
	baseURL   string
	tokenFile string
	delivery  time.Duration
	http      *http.Client
}

func newCollector(c *Config) *collector {
	return &collector{
		baseURL:   c.CollectorURL,
		tokenFile: c.TokenFile,
		delivery:  c.Delivery,
		http:      &http.Client{Timeout: requestTimeout, Transport: &http.Transport{MaxIdleConnsPerHost: 1}},
	}
}

// input is the process's input and which attempt this is.
type input struct {
	text    []byte
	attempt int32
}

// fetchInput gets the input once the attempt is due: it waits as long as it is
// told to, for agentapi.MaxPause and inputTimeout in all, and asks again. Errors
// are those of askInput, and that ctx ended.
func (c *collector) fetchInput(ctx context.Context) (input, error) {
	for began := time.Now(); ; {
		in, err := c.askInput(ctx)
		early, ok := errors.AsType[*tooEarlyError](err)
		if !ok || time.Since(began)+early.wait > agentapi.MaxPause+inputTimeout {
			return in, err
		}
		slog.Info("waiting for the attempt to be due", "in", early.wait)
		select {
		case <-ctx.Done():
			return input{}, fmt.Errorf("give up: %w", err)
		case <-time.After(early.wait):
		}
	}
}

// askInput gets the input, trying until it has it, the process proves to be over
// (errNotWanted), the attempt not to be due (tooEarlyError), or inputTimeout is
// over.
func (c *collector) askInput(ctx context.Context) (input, error) {
	ctx, cancel := context.WithTimeout(ctx, inputTimeout)
	defer cancel()
	var in input
	err := persist(ctx, func() error {
		header, text, err := c.do(ctx, http.MethodGet, agentapi.InputPath, nil)
		if err != nil {
			return err
		}
		attempt, err := strconv.ParseInt(header.Get(agentapi.HeaderAttempt), 10, 32)
		if err != nil {
			return fmt.Errorf("read header %s: %w", agentapi.HeaderAttempt, err)
		}
		in = input{text: text, attempt: int32(attempt)}
		return nil
	})
	return in, err
}

// deliver hands the result over, trying until it is confirmed or its time for
// that is over. That the process is over is a confirmation, too; errSuperseded
// says that the result counts for nothing. It does not end with the agent's
// context: a worker that was told to stop still has a result.
func (c *collector) deliver(r agentapi.Result) error {
	body, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("encode result: %w", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), c.delivery)
	defer cancel()
	err = persist(ctx, func() error {
		_, _, err := c.do(ctx, http.MethodPut, agentapi.ResultPath, body)
		return err
	})
	if errors.Is(err, errNotWanted) && !errors.Is(err, errSuperseded) {
		slog.Info("the result is not wanted", "cause", err)
		return nil
	}
	return err
}

// do makes one request with a fresh token and returns the answer to it.
// 400 is errRefused, 404 and 409 are errNotWanted, 410 is errSuperseded, 425 with
// Retry-After is a tooEarlyError; any other status but 200 is worth another try.
func (c *collector) do(ctx context.Context, method, path string, body []byte) (http.Header, []byte, error) {
	token, err := os.ReadFile(c.tokenFile)
	if err != nil {
		return nil, nil, fmt.Errorf("read token: %w", err)
	}
	request, err := http.NewRequestWithContext(ctx, method, c.baseURL+path, bytes.NewReader(body))
	if err != nil {
		return nil, nil, fmt.Errorf("make request: %w", err)
	}
	request.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	response, err := c.http.Do(request)
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = response.Body.Close() }()
	answer, err := io.ReadAll(io.LimitReader(response.Body, maxInputBytes))
	if err != nil {
		return nil, nil, fmt.Errorf("read answer: %w", err)
	}
	switch response.StatusCode {
	case http.StatusOK:
		return response.Header, answer, nil
	case http.StatusNotFound, http.StatusConflict:
		return nil, nil, fmt.Errorf("%w: %s", errNotWanted, answer)
	case http.StatusGone:
		return nil, nil, fmt.Errorf("%w: %s", errSuperseded, answer)
	case http.StatusBadRequest:
		return nil, nil, fmt.Errorf("%w: %s", errRefused, answer)
	case http.StatusTooEarly:
		seconds, err := strconv.ParseUint(response.Header.Get("Retry-After"), 10, 16)
		if err == nil && seconds > 0 {
			return nil, nil, &tooEarlyError{time.Duration(seconds) * time.Second}
		}
	}
	return nil, nil, fmt.Errorf("%s %s: %s: %s", method, path, response.Status, answer)
}

// persist tries until try succeeds, is refused, not wanted or too early, or ctx
// ends; the pauses double from firstPause to longestPause.
func persist(ctx context.Context, try func() error) error {
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		err := try()
		if _, early := errors.AsType[*tooEarlyError](err); err == nil || early || errors.Is(err, errNotWanted) || errors.Is(err, errRefused) {
			return err
		}
		slog.Info("trying again", "in", pause, "cause", err)
		select {
		case <-ctx.Done():
			return fmt.Errorf("give up: %w", err)
		case <-time.After(pause):
		}
	}
}
