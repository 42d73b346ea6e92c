// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package storetest

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A broken store fails, and has its objects again when it is repaired.
func TestDirectory(t *testing.T) {
	d := New(t)
	if err := d.Put(t.Context(), "a/b", []byte("one")); err != nil {
		t.Fatal(err)
	}
	d.Break()
	if err := d.Put(t.Context(), "a/c", []byte("two")); err == nil {
		t.Error("a broken store accepts an object")
	}
	d.Repair()
	if diff := cmp.Diff(map[string]string{"a/b": "one"}, d.Files()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	d.Overwrite("three")
	if diff := cmp.Diff(map[string]string{"a/b": "three"}, d.Files()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
