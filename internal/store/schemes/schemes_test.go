// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package schemes

import (
	"testing"

	"procman.dev/procman/internal/store"
)

// Each kind of store that docs/store.md names can be opened.
func TestSchemes(t *testing.T) {
	t.Setenv("AZURE_STORAGE_ACCOUNT", "account")
	t.Setenv("AZURE_STORAGE_KEY", "a2V5")
	for _, address := range []string{
		"s3://bucket?region=eu-central-1",
		"s3://bucket?endpoint=http://127.0.0.1:1&s3ForcePathStyle=true&region=us-east-1",
		"gs://bucket?anonymous=true", // without credentials of its own
		"azblob://container",
		"file://" + t.TempDir(),
	} {
		s, err := store.Open(t.Context(), address)
		if err != nil {
			t.Errorf("%s: %v", address, err)
			continue
		}
		_ = s.Close()
	}
}
