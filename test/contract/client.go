// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package contract

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"
)

// testVendorClient does what the existing clients of this API do: a trailing slash, a charset,
// headers of their own, and a GET at once and then every half second. They stop at every
// response that is not a 2xx with application/json.
func (s *suite) testVendorClient(t *testing.T) {
	ask := func(method, url, body string) map[string]any {
		t.Helper()
		request, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Content-Type", "application/json; charset=utf-8")
		request.Header.Set("Acs-Api-Key", "not one of ours")
		request.Header.Set("X-Vendor-Version", "4.1")
		response, err := client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = response.Body.Close() }()
		if response.StatusCode/100 != 2 || response.StatusCode == 201 || response.StatusCode == 202 || response.Header.Get("Content-Type") != "application/json" {
			t.Fatalf("%s %s: status %d, Content-Type %q", method, url, response.StatusCode, response.Header.Get("Content-Type"))
		}
		var said map[string]any
		if err := json.NewDecoder(response.Body).Decode(&said); err != nil {
			t.Fatal(err)
		}
		return said
	}
	for input, wanted := range map[string]string{
		`{"echo":{"seconds":1},"any":"page"}`:                               "complete",
		`{"echo":{"error":{"errorCode":"InvalidInput","errorDetails":{}}}}`: "error InvalidInput",
	} {
		base := s.URL + "/v1/processes/" + aliasName + "/"
		said := ask(http.MethodPost, base, `{"input":`+input+`}`)
		id, _ := said["processId"].(string)
		for start := time.Now(); time.Since(start) < patience; {
			said = ask(http.MethodGet, base+id, "")
			if said["state"] != "processing" {
				break
			}
			<-time.After(500 * time.Millisecond)
		}
		got, _ := said["state"].(string)
		if code, ok := said["errorCode"].(string); ok {
			got += " " + code
		}
		if output, ok := said["output"].(map[string]any); got != wanted || (got == "complete") != ok || ok && output["any"] != "page" {
			t.Errorf("it ends as %v", said)
		}
	}
}
