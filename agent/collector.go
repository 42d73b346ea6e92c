// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"time"

	"procman.dev/procman/internal/agentapi"
)

// Bounds of one request and of the pauses between tries.
const (
	// requestTimeout is longer than the collector tries to write a result to the store.
	requestTimeout = 45 * time.Second
	firstPause     = 20 * time.Millisecond
	longestPause   = 5 * time.Second
	// inputTimeout is how long the agent tries to get the input before the attempt fails.
	// The pause before the attempt does not count.
	inputTimeout = 5 * time.Minute
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

// fetchInput gets the input, and writes its content to a file, as soon as the attempt is
// due. It waits as long as the collector tells it to, at most agentapi.MaxPause plus
// inputTimeout in total. The error is one of getInput, or that ctx ended.
func (c *collector) fetchInput(ctx context.Context, file string) (agentapi.Input, error) {
	for began := time.Now(); ; {
		in, err := c.getInput(ctx, file)
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
// *agentapi.TooEarly, errFile or final, or inputTimeout is over.
func (c *collector) getInput(ctx context.Context, file string) (in agentapi.Input, err error) {
	ctx, cancel := context.WithTimeout(ctx, inputTimeout)
	defer cancel()
	err = retry(ctx, func() error {
		return c.do(ctx, http.MethodGet, agentapi.InputPath, nil, "", func(response *http.Response) error {
			if in, err = agentapi.ReadInput(response.Header); err != nil {
				return err
			}
			return save(file, response.Body)
		})
	})
	return in, err
}

// errFile: the input could not be written to its file.
var errFile = errors.New("write the input")

// save writes a content to a file. It replaces what is there.
func save(name string, content io.Reader) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("%w: %w", errFile, err)
	}
	defer func() { _ = f.Close() }()
	_, err = io.Copy(f, content)
	if _, ok := errors.AsType[*fs.PathError](err); ok {
		return fmt.Errorf("%w: %w", errFile, err)
	}
	if err != nil {
		return fmt.Errorf("read response: %w", err)
	}
	return nil
}

// deliver delivers the result. It tries until the collector confirms it, the error is
// final, or c.delivery is over. It has a context of its own, because the result of a
// worker that was stopped is delivered too.
func (c *collector) deliver(r agentapi.Result) error {
	ctx, cancel := context.WithTimeout(context.Background(), c.delivery)
	defer cancel()
	return retry(ctx, func() error {
		return c.do(ctx, http.MethodPut, agentapi.ResultPath, r.SetHeader, r.Body(), nil)
	})
}

// do makes one request with the current token. setHeader and receive can be nil; receive
// gets the response if it is a good one. The error is one of agentapi.ReadError or of
// receive, or that there was no complete response.
func (c *collector) do(ctx context.Context, method, path string, setHeader func(http.Header), body string, receive func(*http.Response) error) error {
	token, err := os.ReadFile(c.tokenFile)
	if err != nil {
		return fmt.Errorf("read token: %w", err)
	}
	request, err := http.NewRequestWithContext(ctx, method, c.baseURL+path, strings.NewReader(body))
	if err != nil {
		return fmt.Errorf("make request: %w", err)
	}
	request.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	if setHeader != nil {
		setHeader(request.Header)
	}
	response, err := c.http.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if err := agentapi.ReadError(response); err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	if receive == nil {
		return nil
	}
	return receive(response)
}

// retry calls try until it succeeds, its error is a *agentapi.TooEarly, errFile or
// final, or ctx ends. The pauses double from firstPause to longestPause.
func retry(ctx context.Context, try func() error) error {
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		err := try()
		if _, early := errors.AsType[*agentapi.TooEarly](err); err == nil || early || agentapi.Final(err) || errors.Is(err, errFile) {
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
