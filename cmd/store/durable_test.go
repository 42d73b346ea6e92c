// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/versity/versitygw/backend/posix"
	"github.com/versity/versitygw/s3response"
)

// synced replaces fsync, and returns a function that returns the paths below root that were
// written to the disk since its last call.
func synced(t *testing.T, root string) func() map[string]bool {
	t.Helper()
	var lock sync.Mutex
	paths := map[string]bool{}
	original := fsync
	t.Cleanup(func() { fsync = original })
	fsync = func(f *os.File) error {
		lock.Lock()
		defer lock.Unlock()
		if path, err := filepath.Rel(root, f.Name()); err == nil {
			paths[path] = true
		}
		return original(f)
	}
	return func() map[string]bool {
		lock.Lock()
		defer lock.Unlock()
		defer clear(paths)
		return maps.Clone(paths)
	}
}

func wantSynced(t *testing.T, got map[string]bool, want ...string) {
	t.Helper()
	for _, path := range want {
		if !got[path] {
			t.Errorf("%s is not on the disk, only %v", path, got)
		}
	}
}

// TestSync: objects and parts are on the disk when they are answered, also if the directory
// is relative.
func TestSync(t *testing.T) {
	root := t.TempDir()
	t.Chdir(root) // serve changes it, and this test restores it
	take := synced(t, root)
	s := start(t, "data")
	wantSynced(t, take(), "data", "data/objects", "data/objects/procman")

	s.put("a/b", "text")
	wantSynced(t, take(), "data/objects/procman/a/b", "data/objects/procman/a", "data/objects/procman")

	_, err := s.CopyObject(t.Context(), &s3.CopyObjectInput{Bucket: aws.String(bucket), Key: aws.String("c/d"), CopySource: aws.String(bucket + "/a/b")})
	if err != nil {
		t.Fatal(err)
	}
	wantSynced(t, take(), "data/objects/procman/c/d", "data/objects/procman/c")
	if got, _ := s.get("c/d"); got != "text" {
		t.Errorf("the copy is %q", got)
	}

	parts := s.uploadParts("e/f", "one part")
	upload := partKey("e/f", *parts.UploadId, 1)
	wantSynced(t, take(), filepath.Join("data/objects/procman", upload), filepath.Join("data/objects/procman", filepath.Dir(upload)))
	if _, err := s.CompleteMultipartUpload(t.Context(), parts); err != nil {
		t.Fatal(err)
	}
	wantSynced(t, take(), "data/objects/procman/e/f", "data/objects/procman/e")
}

// trailed is a body with a checksum after it.
type trailed struct{ io.Reader }

func (trailed) Algorithm() string { return "sha256" }
func (trailed) Checksum() string  { return "checksum" }

// TestSyncOfAttributes: attributes that are files are on the disk too. The checksum after a
// body is one of them.
func TestSyncOfAttributes(t *testing.T) {
	root := t.TempDir()
	t.Chdir(root) // posix.New changes it, and this test restores it
	objects, attributes := filepath.Join(root, "objects"), filepath.Join(root, "attributes")
	if err := os.MkdirAll(filepath.Join(objects, bucket), 0o700); err != nil {
		t.Fatal(err)
	}
	take := synced(t, root)
	sidecar, err := makeSidecar(attributes)
	if err != nil {
		t.Fatal(err)
	}
	wantSynced(t, take(), ".")
	files, err := posix.New(objects, sidecar, posix.PosixOpts{SideCarDir: attributes, ForceNoObjLockFile: true})
	if err != nil {
		t.Fatal(err)
	}
	d := &durable{Posix: files, objects: objects, attributes: attributes}
	out, err := d.PutObject(t.Context(), s3response.PutObjectInput{
		Bucket: aws.String(bucket), Key: aws.String("a/b"), ContentLength: aws.Int64(4), Body: trailed{strings.NewReader("text")},
	})
	if err != nil {
		t.Fatal(err)
	}
	if out.ChecksumSHA256 == nil || *out.ChecksumSHA256 != "checksum" {
		t.Errorf("the checksum after the body is %v", out.ChecksumSHA256)
	}
	meta := filepath.Join(attributes, bucket, "a/b/meta")
	stored, err := os.ReadDir(meta)
	if err != nil || len(stored) == 0 {
		t.Fatalf("attributes %v, %v", stored, err)
	}
	got := take()
	wantSynced(t, got, "objects/procman/a/b", "attributes/procman/a/b/meta", "attributes/procman/a/b", "attributes/procman/a", "attributes/procman", "attributes")
	for _, attribute := range stored {
		wantSynced(t, got, filepath.Join("attributes/procman/a/b/meta", attribute.Name()))
	}
}

// writing tells whether the store has a file open to which it writes a body.
func writing(t *testing.T) bool {
	t.Helper()
	files, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if path, err := os.Readlink(file); err == nil && strings.Contains(path, posix.MetaTmpDir) {
			return true
		}
	}
	return false
}

// TestRequestsFinish: a body that arrives when the store is stopped becomes an object.
func TestRequestsFinish(t *testing.T) {
	s := start(t, t.TempDir())
	signed, err := s3.NewPresignClient(s.Client).PresignPutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String(bucket), Key: aws.String("a")})
	if err != nil {
		t.Fatal(err)
	}
	conn := s.open(signed.URL)
	for began := time.Now(); !writing(t); <-time.After(20 * time.Millisecond) {
		if time.Since(began) > 20*time.Second {
			t.Fatal("the store does not read the body")
		}
	}
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		s.stop()
	}()
	for began := time.Now(); ; { // until the store accepts no more connections
		other, err := net.Dial("tcp", s.address)
		if err != nil {
			break
		}
		_ = other.Close()
		if time.Since(began) > 20*time.Second {
			t.Fatal("the store accepts connections")
		}
		<-time.After(20 * time.Millisecond)
	}
	select {
	case <-stopped:
		t.Error("the store ended before the request")
	case <-time.After(300 * time.Millisecond):
	}
	if _, err := io.WriteString(conn, strings.Repeat("x", 700_000)); err != nil {
		t.Fatal(err)
	}
	if status := s.answer(conn); status != http.StatusOK {
		t.Errorf("status %d", status)
	}
	<-stopped
}
