// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package agentapi

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestReceiptRoundTrip(t *testing.T) {
	for name, r := range map[string]Receipt{
		"output":    {Result: Result{Attempt: 2, StartTime: time.Unix(1e9, 5).UTC(), Output: `{"a": 1.0, "b":"<&>\u2028"}`}},
		"error":     {Result: Result{ErrorCode: "No", ErrorDetails: `{"n":12345678901234567890}`, Retry: true}, Delivered: true},
		"truncated": {Result: Result{Attempt: 1}, Truncated: true},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := DecodeReceipt(string(r.Encode()))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(r, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestReceiptFits(t *testing.T) {
	for name, test := range map[string]struct {
		result Result
		want   Receipt
	}{
		"large output": {Result{Attempt: 1, Output: strings.Repeat("x", 5000)}, Receipt{Result: Result{Attempt: 1}, Truncated: true}},
		"large details": {
			Result{ErrorCode: "No", ErrorDetails: strings.Repeat("x", 5000)}, Receipt{Result: Result{ErrorCode: "No"}, Truncated: true},
		},
		"quotes that double": {Result{Output: strings.Repeat(`"`, 2500)}, Receipt{Truncated: true}},
	} {
		t.Run(name, func(t *testing.T) {
			text := Receipt{Result: test.result}.Encode()
			if len(text) == 0 || len(text) > MaxReceiptBytes {
				t.Fatalf("the receipt has %d bytes", len(text))
			}
			got, err := DecodeReceipt(string(text))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestDecodeReceiptErrors(t *testing.T) {
	for _, message := range []string{"", "panic: no", "{}", `{"attempt":1}`, `[1]`,
		`{"errorCode":"two words"}`, `{"errorCode":"No","errorDetails":"[]"}`, `{"errorCode":"two words","truncated":true}`,
	} {
		if r, err := DecodeReceipt(message); err == nil {
			t.Errorf("%q is taken for %+v", message, r)
		}
	}
}
