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
	want := Input{ProcessID: "p", ProcessType: "ocr", Attempt: 2, Timeout: time.Hour}
	h := http.Header{}
	want.SetHeader(h)
	got, err := ReadInput(h)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestReadInputRefusesIncompleteHeaders(t *testing.T) {
	for name, header := range map[string]string{
		"no header":      "",
		"no id":          `{"processType":"t","attempt":1,"timeout":1}`,
		"no type":        `{"processId":"p","attempt":1,"timeout":1}`,
		"no attempt":     `{"processId":"p","processType":"t","timeout":1}`,
		"attempt 0":      `{"processId":"p","processType":"t","attempt":0,"timeout":1}`,
		"no timeout":     `{"processId":"p","processType":"t","attempt":1}`,
		"not an attempt": `{"processId":"p","processType":"t","attempt":"1","timeout":1}`,
	} {
		got, err := ReadInput(http.Header{headerProcess: {header}})
		if err == nil || !strings.Contains(err.Error(), headerProcess) {
			t.Errorf("%s: got %+v, error %v, expected an error that names the header", name, got, err)
		}
	}
}
