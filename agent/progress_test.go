// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"procman.dev/procman/internal/agentapi"
)

// answers is an http.RoundTripper that needs no network.
type answers func(*http.Request) int

func (f answers) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: f(r), Header: http.Header{agentapi.HeaderCollector: {"1"}}, Body: http.NoBody}, nil
}

// A worker that writes often causes few reports, and the newest progress always arrives.
func TestReportsOfProgress(t *testing.T) {
	dir := t.TempDir()
	file, token := filepath.Join(dir, "progress"), filepath.Join(dir, "token")
	if err := os.WriteFile(token, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	type report struct {
		Second  float64
		Percent int32
	}
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		var got []report
		unavailable := 2
		collector := &collector{tokenFile: token, http: &http.Client{Transport: answers(func(r *http.Request) int {
			var p agentapi.Progress
			if body, err := io.ReadAll(r.Body); err != nil || json.Unmarshal(body, &p) != nil {
				t.Errorf("body %s, error %v", body, err)
			}
			if p.PercentComplete > 20 && unavailable > 0 {
				unavailable--
				return http.StatusServiceUnavailable
			}
			got = append(got, report{time.Since(began).Seconds(), p.PercentComplete})
			return http.StatusOK
		})}}
		write := func(percent int) {
			if err := os.WriteFile(file, []byte(strconv.Itoa(percent)), 0o600); err != nil {
				t.Error(err)
			}
		}
		pass := func(seconds float64) {
			time.Sleep(time.Duration(seconds * float64(time.Second))) //nolint:forbidigo // synctest's time
			synctest.Wait()
		}
		write(0)
		stop := collector.reportProgress(t.Context(), file)
		defer stop()
		pass(0.5)                 // between two looks at the file
		for percent := range 31 { // 2 points a second
			write(2 * percent)
			pass(1)
		}
		write(57) // a small step, and no other follows
		pass(69)
		write(99)
		pass(6)
		write(100)
		pass(100)
		want := []report{{1, 0}, {6, 10}, {11, 20}, {18, 34}, {23, 44}, {28, 54}, {88, 57}, {101, 99}, {107, 100}}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}
