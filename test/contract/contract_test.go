// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build contract

package contract_test

import (
	"flag"
	"strings"
	"testing"

	"procman.dev/procman/test/contract"
)

var url = flag.String("url", "", "base URL of the deployment to run against")

// TestContract runs the suite against a deployment: make contract URL=...
func TestContract(t *testing.T) {
	if *url == "" {
		t.Fatal("-url is not set; make contract URL=... sets it")
	}
	contract.Run(t, contract.Target{URL: strings.TrimSuffix(*url, "/")})
}
