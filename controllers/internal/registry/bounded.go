// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import "net/http"

// bounded is a transport that limits the size of a response body to maxConfigBytes.
// Reading more returns a *http.MaxBytesError.
type bounded struct{ http.RoundTripper }

func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := b.RoundTripper.RoundTrip(r)
	if err == nil {
		response.Body = http.MaxBytesReader(nil, response.Body, maxConfigBytes)
	}
	return response, err
}
