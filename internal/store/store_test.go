// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	_ "gocloud.dev/blob/s3blob" // for the store that nobody serves
)

func digestOf(content []byte) Digest {
	sum := sha256.Sum256(content)
	return Digest{Bytes: int64(len(content)), SHA256: hex.EncodeToString(sum[:])}
}

// open returns a store in a directory.
func open(t *testing.T) (*Store, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "objects")
	s, err := Open(t.Context(), "file://"+dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s, dir
}

func random(t *testing.T, bytes int) []byte {
	t.Helper()
	content := make([]byte, bytes)
	_, _ = rand.Read(content) // it never fails
	return content
}

func TestOpenRefusesUnknownStores(t *testing.T) {
	for _, address := range []string{"", "bucket", "ftp://bucket", "s3://bucket?unknown=1", "file://%zz"} {
		if _, err := Open(t.Context(), address); err == nil {
			t.Errorf("Open(%q): no error", address)
		}
	}
}

func TestObjectsAreReadAsWritten(t *testing.T) {
	s, _ := open(t)
	for _, bytes := range []int{0, 1, chunkBytes - 1, chunkBytes, chunkBytes + 1, 2 * chunkBytes, 3*chunkBytes + 5, 8 << 20} {
		content := random(t, bytes)
		if err := s.Put(t.Context(), "processes/work/p/x", content); err != nil {
			t.Fatal(err)
		}
		r, err := s.Read(t.Context(), "processes/work/p/x", digestOf(content))
		if err != nil {
			t.Fatal(err)
		}
		if err := iotest.TestReader(r, content); err != nil {
			t.Errorf("%d bytes: %v", bytes, err)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestDamageIsFoundBeforeTheLastByte(t *testing.T) {
	content := bytes.Repeat([]byte("procman "), 20_000)
	for name, damage := range map[string]func([]byte) []byte{
		"the first byte":     func(c []byte) []byte { c[0]++; return c },
		"the last byte":      func(c []byte) []byte { c[len(c)-1]++; return c },
		"cut off":            func(c []byte) []byte { return c[:len(c)-1] },
		"cut off at a chunk": func(c []byte) []byte { return c[:chunkBytes] },
		"longer":             func(c []byte) []byte { return append(c, 'x') },
		"much longer":        func(c []byte) []byte { return append(c, c...) },
		"empty":              func([]byte) []byte { return nil },
	} {
		t.Run(name, func(t *testing.T) {
			s, _ := open(t)
			if err := s.Put(t.Context(), "object", damage(bytes.Clone(content))); err != nil {
				t.Fatal(err)
			}
			r, err := s.Read(t.Context(), "object", digestOf(content))
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = r.Close() }()
			got, err := io.ReadAll(r)
			if !errors.Is(err, ErrDamaged) || len(got) >= len(content) {
				t.Errorf("got %d of %d bytes, error %v, want fewer bytes and ErrDamaged", len(got), len(content), err)
			}
		})
	}
}

func TestReadOfNothing(t *testing.T) {
	s, _ := open(t)
	if _, err := s.Read(t.Context(), "object", Digest{}); !errors.Is(err, ErrNotFound) {
		t.Errorf("got %v, want ErrNotFound", err)
	}
}

func TestDelete(t *testing.T) {
	s, _ := open(t)
	if err := s.Put(t.Context(), "object", []byte("{}")); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time, it does not exist
		if err := s.Delete(t.Context(), "object"); err != nil {
			t.Error(err)
		}
	}
	if _, err := s.Read(t.Context(), "object", Digest{}); !errors.Is(err, ErrNotFound) {
		t.Errorf("got %v, want ErrNotFound", err)
	}
}

func TestKeysOfAllPages(t *testing.T) {
	s, _ := open(t)
	var want []string
	for i := range pageSize + 3 {
		key := fmt.Sprintf("processes/work/p%04d/x", i)
		if err := s.Put(t.Context(), key, nil); err != nil {
			t.Fatal(err)
		}
		want = append(want, key)
	}
	if err := s.Put(t.Context(), "processes/other/p/x", nil); err != nil {
		t.Fatal(err)
	}
	var got []string
	for key, err := range s.Keys(t.Context(), "processes/work/") {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, key)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for key, err := range s.Keys(t.Context(), "processes/") {
		if key != "processes/other/p/x" || err != nil {
			t.Errorf("got %q, %v", key, err)
		}
		break
	}
}

func TestCanceledPutLeavesNothing(t *testing.T) {
	s, dir := open(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Put(ctx, "object", []byte("{}")); err == nil {
		t.Error("no error")
	}
	files, err := os.ReadDir(dir)
	if len(files) > 0 || err != nil {
		t.Errorf("the directory has %v, error %v", files, err)
	}
}

func TestUnreachableStore(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", "x")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "x")
	s, err := Open(t.Context(), "s3://bucket?endpoint=http://127.0.0.1:1&s3ForcePathStyle=true&region=us-east-1")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Check(t.Context()); err == nil {
		t.Error("Check: no error")
	}
	if err := s.Put(t.Context(), "object", nil); err == nil || errors.Is(err, ErrNotFound) {
		t.Errorf("Put: %v", err)
	}
	if _, err := s.Read(t.Context(), "object", Digest{}); err == nil || errors.Is(err, ErrNotFound) {
		t.Errorf("Read: %v", err)
	}
	for _, err := range s.Keys(t.Context(), "") {
		if err == nil {
			t.Error("Keys: no error")
		}
	}
}
