// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"bufio"
	"compress/gzip"
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"procman.dev/procman/internal/budget"
)

// The memory for bodies is bounded. A body that comes when it is used up is refused, and
// the memory is free again when the bodies are done.
func TestBodyMemoryIsBounded(t *testing.T) {
	s := newAlone(t, prometheus.NewRegistry())
	hold := func() *budget.Reservation {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "/", strings.NewReader(strings.Repeat(" ", 500<<10)))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json")
		_, memory, err := s.readBody(httptest.NewRecorder(), r, 512<<10)
		if err != nil {
			if got := problemOf(err); got.cause != tooManyRequests || got.header["Retry-After"] != "1" {
				t.Errorf("refused with %v", got)
			}
			return nil
		}
		return memory
	}
	for range 2 {
		var held []*budget.Reservation
		for {
			memory := hold()
			if memory == nil {
				break
			}
			held = append(held, memory)
		}
		if len(held) != 64 { // of 512 KiB each
			t.Errorf("%d bodies are held at once, want 64", len(held))
		}
		for _, memory := range held {
			memory.Release()
		}
	}
	if free := s.bodyMemory.Free(); free != maxBodyBytes {
		t.Errorf("%d bytes are free, want %d", free, maxBodyBytes)
	}
}

// Stalled uploads exclude others only for a short time. Slow uploads are accepted as long as
// they make progress.
func TestStalledUploads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _, dial := onPipes(t)
		// upload sends so much of a body, and then a part each second until it is whole.
		upload := func(length, first, each int) <-chan int {
			client := dial()
			go func() {
				_, _ = fmt.Fprintf(client, "POST /v1/processes/echo HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n{}%s", length, strings.Repeat(" ", first-2))
				for rest := length - first; each > 0 && rest > 0; rest -= each {
					time.Sleep(time.Second) //nolint:forbidigo // synctest's time
					_, _ = io.WriteString(client, strings.Repeat(" ", min(each, rest)))
				}
			}()
			status := make(chan int, 1)
			go func() {
				defer func() { _ = client.Close() }()
				response, err := http.ReadResponse(bufio.NewReader(client), nil)
				if err != nil {
					t.Error(err)
					status <- 0
					return
				}
				_ = response.Body.Close()
				status <- response.StatusCode
			}()
			return status
		}
		began := time.Now()
		var stalled []<-chan int
		for range 130 {
			stalled = append(stalled, upload(512<<10, 270<<10, 0))
		}
		synctest.Wait()
		if got := <-upload(2, 2, 0); got != http.StatusTooManyRequests {
			t.Errorf("without free memory: status %d", got)
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("it is refused after %s, want at once", took)
		}
		time.Sleep(10 * time.Second)              //nolint:forbidigo // synctest's time
		if got := <-upload(2, 2, 0); got != 480 { // it has no input
			t.Errorf("an ordinary one: status %d", got)
		}
		if left := s.bodyMemory.Free(); left < lowMemory {
			t.Errorf("%d bytes are free without the slowest, want %d", left, lowMemory)
		}
		for _, each := range stalled {
			if got := <-each; got != http.StatusTooManyRequests {
				t.Errorf("a stalled upload: status %d", got)
			}
		}
		if took := time.Since(began); took < readTimeout || took > readTimeout+20*time.Second { // 256 KiB at 16 KiB/s
			t.Errorf("the last of them has ended after %s, want %s and a little more", took, readTimeout)
		}
		// The same with many small uploads.
		stalled = stalled[:0]
		for range 20_000 {
			stalled = append(stalled, upload(2000, 100, 0))
		}
		time.Sleep(10 * time.Second) //nolint:forbidigo // synctest's time
		if left := s.bodyMemory.Free(); left < lowMemory-firstRead {
			t.Errorf("%d bytes are free without the later ones, want %d", left, lowMemory)
		}
		for _, each := range stalled {
			if got := <-each; got != http.StatusTooManyRequests {
				t.Errorf("a small stalled upload: status %d", got)
			}
		}
		// With free memory, an upload may take all of readTimeout.
		began = time.Now()
		slow, small := upload(500<<10, 256, 10<<10), upload(firstRead, 100, 100)
		if got := [2]int{<-slow, <-small}; got != [2]int{480, 480} {
			t.Errorf("slow ones: status %d", got)
		}
		if took := time.Since(began); took < 50*time.Second {
			t.Errorf("the slow ones have ended after %s", took)
		}
		if left := s.bodyMemory.Free(); left != maxBodyBytes {
			t.Errorf("%d bytes are free, want %d", left, maxBodyBytes)
		}
	})
}

// zipped is a compressed text.
func zipped(t *testing.T, text string) string {
	t.Helper()
	var b strings.Builder
	w := gzip.NewWriter(&b)
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// A compressed body has the same limit as any other, before and after its decompression,
// and its memory is reserved.
func TestGzip(t *testing.T) {
	const limit = 64 << 10
	s := newAlone(t, prometheus.NewRegistry())
	read := func(coding, body string) (string, error) {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Content-Encoding", coding)
		data, memory, err := s.readBody(httptest.NewRecorder(), r, limit)
		if err != nil {
			return "", err
		}
		if used := maxBodyBytes - s.bodyMemory.Free(); used < int64(len(data))+gzipBytes {
			t.Errorf("%d bytes are reserved for %d", used, len(data))
		}
		memory.Release()
		return string(data), nil
	}
	noise := make([]byte, limit)
	_, _ = rand.Read(noise)
	for name, text := range map[string]string{"empty": "", "short": `{"input":{}}`, "the longest": strings.Repeat(" ", limit+envelopeBytes), "incompressible": string(noise)} {
		if got, err := read("gzip", zipped(t, text)); err != nil || got != text {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
	}
	if got, err := read("gzip", zipped(t, `{"input"`)+zipped(t, `:{}}`)); err != nil || got != `{"input":{}}` {
		t.Errorf("two members: %q, %v", got, err)
	}
	for name, tc := range map[string]struct {
		coding, body string
		cause        cause
	}{
		"a bomb":            {"gzip", zipped(t, strings.Repeat(" ", 64<<20)), inputTooLarge},
		"one byte too long": {"gzip", zipped(t, strings.Repeat(" ", limit+envelopeBytes+1)), inputTooLarge},
		"empty members":     {"gzip", strings.Repeat(zipped(t, ""), limit/20), inputTooLarge},
		"cut off":           {"gzip", zipped(t, `{"input":{}}`)[:20], invalidInput},
		"not compressed":    {"gzip", `{"input":{}}`, invalidInput},
		"twice":             {"gzip, gzip", zipped(t, zipped(t, `{"input":{}}`)), unsupportedMediaType},
		"another coding":    {"br", `{"input":{}}`, unsupportedMediaType},
	} {
		if got, err := read(tc.coding, tc.body); err == nil || problemOf(err).cause != tc.cause {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
	}
	if free := s.bodyMemory.Free(); free != maxBodyBytes {
		t.Errorf("%d bytes are free, want %d", free, maxBodyBytes)
	}
}
