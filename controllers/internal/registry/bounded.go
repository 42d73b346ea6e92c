// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"errors"
	"io"
	"net/http"
)

// errTooLarge is returned for an answer that is larger than the configuration of any
// image.
var errTooLarge = errors.New("the answer is too large")

// bounded is a transport that limits the size of answers to maxConfigBytes.
type bounded struct{ http.RoundTripper }

func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := b.RoundTripper.RoundTrip(r)
	if err == nil {
		response.Body = &boundedBody{ReadCloser: response.Body, remaining: maxConfigBytes}
	}
	return response, err
}

type boundedBody struct {
	io.ReadCloser
	remaining int64
}

func (b *boundedBody) Read(p []byte) (int, error) {
	if b.remaining <= 0 {
		return 0, errTooLarge
	}
	n, err := b.ReadCloser.Read(p[:min(int64(len(p)), b.remaining)])
	b.remaining -= int64(n)
	return n, err
}
