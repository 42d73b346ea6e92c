// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	awscredentials "github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
)

var keys = credentials{"access", "secret"}

// server is a store that runs.
type server struct {
	*testing.T
	*s3.Client
	address string
	stop    func()
}

func clientOf(address string, keys credentials) *s3.Client {
	return s3.New(s3.Options{
		BaseEndpoint: aws.String("http://" + address), Region: "us-east-1", UsePathStyle: true,
		Credentials: awscredentials.NewStaticCredentialsProvider(keys.access, keys.secret, ""),
	})
}

// start starts a store on a directory.
func start(t *testing.T, directory string) *server {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	_ = listener.Close()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- serve(ctx, directory, address, keys) }()
	stopped := false
	s := &server{T: t, Client: clientOf(address, keys), address: address}
	s.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the store ended: %v", err)
		}
	}
	t.Cleanup(s.stop)
	for began := time.Now(); ; {
		response, err := http.Get("http://" + address + healthPath)
		if err == nil {
			_ = response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return s
			}
		}
		if time.Since(began) > 20*time.Second {
			t.Fatalf("the store does not run: %v", err)
		}
		<-time.After(20 * time.Millisecond)
	}
}

func (s *server) put(key, text string) {
	s.Helper()
	if _, err := s.PutObject(s.Context(), &s3.PutObjectInput{Bucket: aws.String(bucket), Key: &key, Body: strings.NewReader(text)}); err != nil {
		s.Fatal(err)
	}
}

// get returns an object; ok is false if there is none.
func (s *server) get(key string) (text string, ok bool) {
	s.Helper()
	out, err := s.GetObject(s.Context(), &s3.GetObjectInput{Bucket: aws.String(bucket), Key: &key})
	if _, none := errors.AsType[*types.NoSuchKey](err); none {
		return "", false
	}
	if err != nil {
		s.Fatal(err)
	}
	defer func() { _ = out.Body.Close() }()
	content, err := io.ReadAll(out.Body)
	if err != nil {
		s.Fatal(err)
	}
	return string(content), true
}

func (s *server) keys() []string {
	s.Helper()
	out, err := s.ListObjectsV2(s.Context(), &s3.ListObjectsV2Input{Bucket: aws.String(bucket)})
	if err != nil {
		s.Fatal(err)
	}
	var keys []string
	for _, o := range out.Contents {
		keys = append(keys, *o.Key)
	}
	return keys
}

// TestStore: objects are kept over a restart, and only the one user gets them. A bucket has
// nothing that was not finished.
func TestStore(t *testing.T) {
	directory := t.TempDir()
	s := start(t, directory)
	large := strings.Repeat("x", 6<<20)
	s.put("processes/work/p/a", "one")
	s.put("processes/work/p/b", large)
	s.put("processes/work/q/c", "gone")
	if _, err := s.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: aws.String(bucket), Key: aws.String("processes/work/q/c")}); err != nil {
		t.Fatal(err)
	}
	for name, stranger := range map[string]credentials{"another secret": {"access", "other"}, "another user": {"other", "secret"}} {
		_, err := clientOf(s.address, stranger).GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String(bucket), Key: aws.String("processes/work/p/a")})
		if response, ok := errors.AsType[*awshttp.ResponseError](err); !ok || response.HTTPStatusCode()/100 != 4 {
			t.Errorf("%s: %v, want a refusal", name, err)
		}
	}
	response, err := http.Get("http://" + s.address + "/" + bucket + "/processes/work/p/a")
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusForbidden {
		t.Errorf("without credentials: %s", response.Status)
	}
	s.stop()

	s = start(t, directory)
	if one, _ := s.get("processes/work/p/a"); one != "one" {
		t.Errorf("after a restart: %q", one)
	}
	if got, _ := s.get("processes/work/p/b"); got != large {
		t.Errorf("after a restart: %d bytes", len(got))
	}
	if got := fmt.Sprint(s.keys()); got != "[processes/work/p/a processes/work/p/b]" {
		t.Errorf("after a restart: %s", got)
	}
	if _, ok := s.get("processes/work/q/c"); ok {
		t.Error("an object that was deleted is back")
	}
}

// open sends the header of a PUT, and a part of its body of 1,000,000 bytes.
func (s *server) open(signed string) *net.TCPConn {
	s.Helper()
	u, err := url.Parse(signed)
	if err != nil {
		s.Fatal(err)
	}
	conn, err := net.Dial("tcp", s.address)
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		s.Fatal(err)
	}
	if _, err := fmt.Fprintf(conn, "PUT %s HTTP/1.1\r\nHost: %s\r\nContent-Length: 1000000\r\n\r\n%s", u.RequestURI(), s.address, strings.Repeat("x", 300_000)); err != nil {
		s.Fatal(err)
	}
	return conn.(*net.TCPConn)
}

// answer returns the status of a response.
func (s *server) answer(conn net.Conn) int {
	s.Helper()
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		s.Fatal(err)
	}
	_ = response.Body.Close()
	return response.StatusCode
}

// cutOff sends a part of a body, ends the stream, and waits until the server refuses it.
func (s *server) cutOff(signed string) {
	s.Helper()
	conn := s.open(signed)
	if err := conn.CloseWrite(); err != nil {
		s.Fatal(err)
	}
	if status := s.answer(conn); status != http.StatusBadRequest {
		s.Errorf("a body that was cut off: status %d", status)
	}
}

// TestBodyThatIsCutOff: it becomes neither an object nor a part of one, and an object that
// has its key stays.
func TestBodyThatIsCutOff(t *testing.T) {
	s := start(t, t.TempDir())
	s.put("old", "old")
	signer := s3.NewPresignClient(s.Client)
	for _, key := range []string{"new", "old"} {
		signed, err := signer.PresignPutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String(bucket), Key: &key})
		if err != nil {
			t.Fatal(err)
		}
		s.cutOff(signed.URL)
	}
	upload, err := s.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: aws.String(bucket), Key: aws.String("parts")})
	if err != nil {
		t.Fatal(err)
	}
	signed, err := signer.PresignUploadPart(t.Context(), &s3.UploadPartInput{Bucket: aws.String(bucket), Key: aws.String("parts"), UploadId: upload.UploadId, PartNumber: aws.Int32(1)})
	if err != nil {
		t.Fatal(err)
	}
	s.cutOff(signed.URL)

	if _, ok := s.get("new"); ok {
		t.Error("a part of a body became an object")
	}
	if old, _ := s.get("old"); old != "old" {
		t.Errorf("an object was replaced by %d bytes of a body", len(old))
	}
	parts, err := s.ListParts(t.Context(), &s3.ListPartsInput{Bucket: aws.String(bucket), Key: aws.String("parts"), UploadId: upload.UploadId})
	if err != nil {
		t.Fatal(err)
	}
	if len(parts.Parts) != 0 {
		t.Errorf("the upload has %d parts", len(parts.Parts))
	}
}

// uploadParts uploads the parts of an object, and returns what completes it.
func (s *server) uploadParts(key string, parts ...string) *s3.CompleteMultipartUploadInput {
	s.Helper()
	upload, err := s.CreateMultipartUpload(s.Context(), &s3.CreateMultipartUploadInput{Bucket: aws.String(bucket), Key: &key})
	if err != nil {
		s.Fatal(err)
	}
	done := &types.CompletedMultipartUpload{}
	for i, text := range parts {
		number := aws.Int32(int32(i + 1))
		part, err := s.UploadPart(s.Context(), &s3.UploadPartInput{Bucket: aws.String(bucket), Key: &key, UploadId: upload.UploadId, PartNumber: number, Body: strings.NewReader(text)})
		if err != nil {
			s.Fatal(err)
		}
		done.Parts = append(done.Parts, types.CompletedPart{ETag: part.ETag, PartNumber: number})
	}
	return &s3.CompleteMultipartUploadInput{Bucket: aws.String(bucket), Key: &key, UploadId: upload.UploadId, MultipartUpload: done}
}

// TestParts: an object in parts is whole.
func TestParts(t *testing.T) {
	s := start(t, t.TempDir())
	parts := []string{strings.Repeat("0", 5<<20), strings.Repeat("1", 5<<20), strings.Repeat("2", 5<<20)}
	if _, err := s.CompleteMultipartUpload(t.Context(), s.uploadParts("files/a", parts...)); err != nil {
		t.Fatal(err)
	}
	if got, _ := s.get("files/a"); got != strings.Join(parts, "") {
		t.Errorf("it has %d bytes, want %d", len(got), 3*5<<20)
	}
}

// TestLeftovers: a start removes what a server that was killed has left, and old uploads.
func TestLeftovers(t *testing.T) {
	directory := t.TempDir()
	tmp := filepath.Join(directory, "objects", bucket, ".sgwtmp")
	paths := map[string]bool{ // whether they stay
		filepath.Join(tmp, "0123.456"):                false,
		filepath.Join(tmp, "multipart", "a", "new"):   true,
		filepath.Join(tmp, "multipart", "a", "stale"): false,
	}
	for _, path := range []string{filepath.Join(tmp, "multipart", "a", "new", "1"), filepath.Join(tmp, "multipart", "a", "stale", "1"), filepath.Join(tmp, "0123.456")} {
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	old := time.Now().Add(-25 * time.Hour)
	if err := os.Chtimes(filepath.Join(tmp, "multipart", "a", "stale"), old, old); err != nil {
		t.Fatal(err)
	}
	if err := removeLeftovers(filepath.Dir(tmp)); err != nil {
		t.Fatal(err)
	}
	for path, stays := range paths {
		if _, err := os.Stat(path); (err == nil) != stays {
			t.Errorf("%s: %v, want it to stay: %t", path, err, stays)
		}
	}
}

// TestCredentials: an empty Secret is filled once, also if two do it at the same time.
func TestCredentials(t *testing.T) {
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "system", Name: "procman-store"}}
	client := fake.NewClientset(secret)
	secrets := client.CoreV1().Secrets("system")
	first, err := loadCredentials(t.Context(), secrets, "procman-store")
	if err != nil || len(first.access) < 20 || len(first.secret) < 20 || first.access == first.secret {
		t.Fatalf("got %+v, %v", first, err)
	}
	if again, err := loadCredentials(t.Context(), secrets, "procman-store"); err != nil || again != first {
		t.Errorf("the second time %+v, %v, want %+v", again, err, first)
	}
	if _, err := loadCredentials(t.Context(), secrets, "other"); !apierrors.IsNotFound(err) {
		t.Errorf("without a Secret: %v", err)
	}

	other := credentials{"of-another", "replica"}
	client = fake.NewClientset(secret)
	client.PrependReactor("update", "secrets", func(clienttesting.Action) (bool, runtime.Object, error) {
		filled := secret.DeepCopy()
		filled.Data = map[string][]byte{accessKey: []byte(other.access), secretKey: []byte(other.secret)}
		if err := client.Tracker().Update(corev1.SchemeGroupVersion.WithResource("secrets"), filled, "system"); err != nil {
			t.Error(err)
		}
		return true, nil, apierrors.NewConflict(corev1.Resource("secrets"), "procman-store", nil)
	})
	if got, err := loadCredentials(t.Context(), client.CoreV1().Secrets("system"), "procman-store"); err != nil || got != other {
		t.Errorf("after a conflict %+v, %v, want %+v", got, err, other)
	}
}
