// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// The rest of a body is read after an early answer, but not for ever: a client that stalls
// or never ends is disconnected.
func TestDrainIsBounded(t *testing.T) {
	for name, tc := range map[string]struct {
		length, each int // each second
		took         time.Duration
	}{
		"all of it comes": {1 << 20, 128 << 10, 0},
		"it stalls":       {1 << 20, 0, drainTime},
		"it is endless":   {1 << 40, 4 << 20, maxDrainBytes / (4 << 20) * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, _, dial := onPipes(t)
				client := dial()
				began, sent := time.Now(), make(chan time.Duration, 1)
				go func() {
					_, err := fmt.Fprintf(client, "POST /v1/processes/echo HTTP/1.1\r\nHost: a\r\nContent-Type: image/png\r\nContent-Length: %d\r\n\r\n", tc.length)
					for rest := tc.length; err == nil && rest > 0 && tc.each > 0; rest -= tc.each {
						_, err = io.WriteString(client, strings.Repeat(" ", min(tc.each, rest)))
						time.Sleep(time.Second) //nolint:forbidigo // synctest's time
					}
					sent <- time.Since(began)
				}()
				reader := bufio.NewReader(client)
				response, err := http.ReadResponse(reader, nil)
				if err != nil {
					t.Fatal(err)
				}
				body, err := io.ReadAll(response.Body)
				if err != nil || response.StatusCode != http.StatusUnsupportedMediaType || string(body) != `{"errorCode":"UnsupportedMediaType"}` {
					t.Errorf("status %d: %s, %v", response.StatusCode, body, err)
				}
				_ = response.Body.Close()
				if took := time.Since(began); took != 0 {
					t.Errorf("the answer comes after %s", took)
				}
				if tc.took > 0 {
					if _, err := reader.ReadByte(); err == nil {
						t.Error("the connection continues")
					}
					if took := time.Since(began); took > tc.took+time.Second {
						t.Errorf("it ends after %s, want %s", took, tc.took)
					}
					_ = client.Close()
				}
				<-sent
				if tc.took == 0 { // the next request
					go func() { _, _ = io.WriteString(client, "GET /livez HTTP/1.1\r\nHost: a\r\n\r\n") }()
					next, err := http.ReadResponse(reader, nil)
					if err != nil || next.StatusCode != http.StatusOK {
						t.Errorf("the next request: %v", err)
					}
				}
			})
		})
	}
}
