// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

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
	"strings"
	"time"

	"procman.dev/procman/internal/agentapi"
)

// Bounds of one request and of the pauses between tries.
const (
	requestTimeout = 15 * time.Second
	firstPause     = 20 * time.Millisecond
	longestPause   = 5 * time.Second
	// inputTimeout is how long the agent tries to get the input before the attempt fails.
	// The pause before the attempt does not count.
	inputTimeout = 5 * time.Minute
	// maxInputBytes is far above any limit that a type can set.
	maxInputBytes = 16 << 20
)

// collector is the client of the operator's collector.
type collector struct {
	baseURL   string
	tokenFile string
	delivery  time.Duration // how long deliver tries
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

// fetchInput gets the input as soon as the attempt is due. It waits as long as the
// collector tells it to, at most agentapi.MaxPause plus inputTimeout in total. The error
// is one of getInput, or that ctx ended.
func (c *collector) fetchInput(ctx context.Context) (agentapi.Input, error) {
	for began := time.Now(); ; {
		in, err := c.getInput(ctx)
		early, ok := errors.AsType[*agentapi.TooEarly](err)
		if !ok || time.Since(began)+early.Wait > agentapi.MaxPause+inputTimeout {
			return in, err
		}
		slog.Info("waiting for the pause before this attempt to end", "wait", early.Wait)
		select {
		case <-ctx.Done():
			return agentapi.Input{}, fmt.Errorf("give up: %w", err)
		case <-time.After(early.Wait):
		}
	}
}

// getInput gets the input. It tries until it succeeds, the error is a
// *agentapi.TooEarly or final, or inputTimeout is over.
func (c *collector) getInput(ctx context.Context) (agentapi.Input, error) {
	ctx, cancel := context.WithTimeout(ctx, inputTimeout)
	defer cancel()
	var in agentapi.Input
	err := retry(ctx, func() error {
		header, text, err := c.do(ctx, http.MethodGet, agentapi.InputPath, nil)
		if err != nil {
			return err
		}
		in, err = agentapi.ReadInput(header, text)
		return err
	})
	return in, err
}

// deliver delivers the result. It tries until the collector confirms it, the error is
// final, or c.delivery is over. It has a context of its own, because the result of a
// worker that was stopped is delivered too.
func (c *collector) deliver(r agentapi.Result) error {
	body, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("encode result: %w", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), c.delivery)
	defer cancel()
	return retry(ctx, func() error {
		_, _, err := c.do(ctx, http.MethodPut, agentapi.ResultPath, body)
		return err
	})
}

// do makes one request with the current token. The error is one of agentapi.ReadError, or
// that there was no complete response.
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
	content, err := io.ReadAll(io.LimitReader(response.Body, maxInputBytes))
	if err != nil {
		return nil, nil, fmt.Errorf("read response: %w", err)
	}
	if err := agentapi.ReadError(response, content); err != nil {
		return nil, nil, fmt.Errorf("%s %s: %w", method, path, err)
	}
	return response.Header, content, nil
}

// retry calls try until it succeeds, its error is a *agentapi.TooEarly or final, or
// ctx ends. The pauses double from firstPause to longestPause.
func retry(ctx context.Context, try func() error) error {
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		err := try()
		if _, early := errors.AsType[*agentapi.TooEarly](err); err == nil || early || agentapi.Final(err) {
			return err
		}
		slog.Info("request to the collector failed, trying again", "wait", pause, "cause", err)
		select {
		case <-ctx.Done():
			return fmt.Errorf("give up: %w", err)
		case <-time.After(pause):
		}
	}
}
