// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"
)

func TestQuantiles(t *testing.T) {
	var samples []time.Duration
	for i := 100; i > 0; i-- {
		samples = append(samples, time.Duration(i)*time.Second)
	}
	for q, want := range map[float64]time.Duration{0: time.Second, 0.5: 51 * time.Second, 0.99: 100 * time.Second, 1: 100 * time.Second} {
		if got := quantile(samples, q); got != want {
			t.Errorf("quantile %v: %v, want %v", q, got, want)
		}
	}
	if samples[0] != 100*time.Second {
		t.Error("quantile has sorted its argument")
	}
	if got := spread(samples); got < 0.97 || got > 0.99 { // 50 s of 51 s
		t.Errorf("spread %v, want 50/51", got)
	}
	if got := spread([]time.Duration{2, 2, 2, 2}); got != 0 {
		t.Errorf("spread of equal samples %v, want 0", got)
	}
}

func TestProcessIsTimedUntilItIsComplete(t *testing.T) {
	var gets atomic.Int32
	facade := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		state := "processing"
		if r.Method == http.MethodGet && r.URL.Path == "/v1/processes/echo/p1" && gets.Add(1) == 3 {
			state = "complete"
		}
		_ = json.NewEncoder(w).Encode(map[string]string{"processId": "p1", "state": state})
	}))
	defer facade.Close()
	took, err := timeProcess(t.Context(), facade.URL)
	if err != nil || gets.Load() != 3 || took < 10*time.Millisecond {
		t.Errorf("took %v and %d GETs, %v; want 3 GETs with two pauses", took, gets.Load(), err)
	}
}

func TestRefusedPostIsAnError(t *testing.T) {
	facade := httptest.NewServer(http.NotFoundHandler())
	defer facade.Close()
	if _, err := timeProcess(t.Context(), facade.URL); err == nil {
		t.Error("got no error")
	}
}

func TestBurstIsTimedUntilAllAreComplete(t *testing.T) {
	var posts, waits atomic.Int32
	facade := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		state := "processing"
		if r.Method == http.MethodPost {
			posts.Add(1)
		} else if r.Header.Get("Prefer") == "wait=60" && waits.Add(1) > 5 { // some wait twice
			state = "complete"
		}
		_ = json.NewEncoder(w).Encode(map[string]string{"processId": "p1", "state": state})
	}))
	defer facade.Close()
	took, err := timeProcesses(t.Context(), facade.URL, 10)
	if err != nil || len(took) != 10 || posts.Load() != 10 || waits.Load() != 15 {
		t.Errorf("%v, %v, with %d POSTs and %d GETs, want 10 and 15", took, err, posts.Load(), waits.Load())
	}
	for _, each := range took {
		if each <= 0 {
			t.Errorf("one took %s", each)
		}
	}
}
