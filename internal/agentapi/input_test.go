// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package agentapi

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestInputRoundTrip(t *testing.T) {
	want := Input{ProcessID: "p", ProcessType: "ocr", Attempt: 2, Timeout: time.Hour, Text: `{"n": 1.0}`}
	h := http.Header{}
	want.SetHeader(h)
	got, err := ReadInput(h, []byte(want.Text))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestReadInputNamesWhatIsWrong(t *testing.T) {
	_, err := ReadInput(http.Header{headerAttempt: {"0"}}, nil)
	for _, name := range []string{headerProcessID, headerProcessType, headerAttempt, headerTimeoutSeconds} {
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("the error does not name %s: %v", name, err)
		}
	}
}
