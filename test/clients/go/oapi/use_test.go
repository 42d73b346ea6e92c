// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

// Package oapi contains what oapi-codegen generates; the test adds it.
package oapi

import (
	"testing"

	_ "github.com/oapi-codegen/runtime" // of the generated code
)

// TestUnion checks that the state selects the type of a process.
func TestUnion(t *testing.T) {
	var p EchoProcess
	if err := p.UnmarshalJSON([]byte(`{"processId":"a","state":"complete","expirationDateTime":"2026-01-02T03:04:05.000Z","createdDateTime":"2026-01-02T03:03:05.000Z","input":{},"output":{"hello":"world"},"later":1}`)); err != nil {
		t.Fatal(err)
	}
	value, err := p.ValueByDiscriminator()
	if err != nil {
		t.Fatal(err)
	}
	complete, ok := value.(EchoComplete)
	if !ok {
		t.Fatalf("the process is a %T, want EchoComplete", value)
	}
	if got := complete.Output["hello"]; got != "world" {
		t.Errorf("hello is %v, want world", got)
	}
}
