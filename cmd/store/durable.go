// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/versity/versitygw/backend/posix"
	"github.com/versity/versitygw/s3api/middlewares"
	"github.com/versity/versitygw/s3err"
	"github.com/versity/versitygw/s3response"
)

// durable adds two guarantees to the files of versitygw, which makes neither: an object or
// a part of one that was answered with success is on the disk, and a body that was cut off
// becomes neither. A delete is not written to the disk, because who deletes repeats it.
//
// Its writes go on when their context ends. That happens at the shutdown of the server, and
// versitygw would give them up, though the server waits up to 10 s for them.
type durable struct {
	*posix.Posix
	objects    string // the directory of the buckets, absolute
	attributes string // the directory of the attributes, absolute; empty if they are in the files
}

// PutObject writes an object.
func (d *durable) PutObject(ctx context.Context, in s3response.PutObjectInput) (s3response.PutObjectOutput, error) {
	in.Body = whole(in.Body, in.ContentLength)
	out, err := d.Posix.PutObject(context.WithoutCancel(ctx), in)
	if err != nil {
		return out, err
	}
	return out, d.sync(*in.Bucket, *in.Key)
}

// UploadPart writes a part of an upload.
func (d *durable) UploadPart(ctx context.Context, in *s3.UploadPartInput) (*s3.UploadPartOutput, error) {
	in.Body = whole(in.Body, in.ContentLength)
	out, err := d.Posix.UploadPart(context.WithoutCancel(ctx), in)
	if err != nil {
		return out, err
	}
	return out, d.sync(*in.Bucket, partKey(*in.Key, *in.UploadId, *in.PartNumber))
}

// UploadPartCopy makes a part of an upload of an object.
func (d *durable) UploadPartCopy(ctx context.Context, in *s3.UploadPartCopyInput) (s3response.CopyPartResult, error) {
	out, err := d.Posix.UploadPartCopy(context.WithoutCancel(ctx), in)
	if err != nil {
		return out, err
	}
	return out, d.sync(*in.Bucket, partKey(*in.Key, *in.UploadId, *in.PartNumber))
}

// CompleteMultipartUpload makes an object of the parts of an upload: a file of its own, to
// which the parts are copied.
func (d *durable) CompleteMultipartUpload(ctx context.Context, in *s3.CompleteMultipartUploadInput) (s3response.CompleteMultipartUploadResult, string, error) {
	out, version, err := d.Posix.CompleteMultipartUpload(context.WithoutCancel(ctx), in)
	if err != nil {
		return out, version, err
	}
	return out, version, d.sync(*in.Bucket, *in.Key)
}

// CopyObject copies an object.
func (d *durable) CopyObject(ctx context.Context, in s3response.CopyObjectInput) (s3response.CopyObjectOutput, error) {
	out, err := d.Posix.CopyObject(context.WithoutCancel(ctx), in)
	if err != nil {
		return out, err
	}
	return out, d.sync(*in.Bucket, *in.Key)
}

// partKey returns the path in its bucket at which versitygw has a part of an upload.
func partKey(key, upload string, part int32) string {
	return filepath.Join(posix.MetaTmpMultipartDir, fmt.Sprintf("%x", sha256.Sum256([]byte(key))), upload, fmt.Sprint(part))
}

// wholeBody is a body that ends with an error if it has another size than it had to have:
// the client has disconnected, and the HTTP server reports that as a normal end.
//
// The size of the file tells nothing, because versitygw reserves the announced size first.
type wholeBody struct {
	io.Reader
	missing int64 // bytes that are still to come
}

func whole(body io.Reader, size *int64) io.Reader {
	if size == nil {
		return body
	}
	return &wholeBody{Reader: body, missing: *size}
}

// Read returns the error IncompleteBody at the end of a body that was cut off.
func (b *wholeBody) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	b.missing -= int64(n)
	if errors.Is(err, io.EOF) && b.missing != 0 {
		return n, s3err.GetAPIError(s3err.ErrIncompleteBody)
	}
	return n, err
}

// Algorithm returns the algorithm of the checksum that follows the body, or "" if none does.
func (b *wholeBody) Algorithm() string {
	if r, ok := b.Reader.(middlewares.ChecksumReader); ok {
		return r.Algorithm()
	}
	return ""
}

// Checksum returns the checksum that follows the body, or "" if none does.
func (b *wholeBody) Checksum() string {
	if r, ok := b.Reader.(middlewares.ChecksumReader); ok {
		return r.Checksum()
	}
	return ""
}

// sync writes an object or a part to the disk, with its attributes and the directories in
// which its name is.
func (d *durable) sync(bucket, key string) error {
	err := syncUpTo(d.objects, filepath.Join(d.objects, bucket, key))
	if err == nil && d.attributes != "" {
		err = syncAttributes(d.attributes, filepath.Join(d.attributes, bucket, key, "meta"))
	}
	if err != nil {
		return fmt.Errorf("write an object to the disk: %w", err)
	}
	return nil
}

// syncAttributes writes the attributes of an object to the disk. Each one is a file in a
// directory of the object.
func syncAttributes(root, directory string) error {
	files, err := os.ReadDir(directory)
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // it was deleted meanwhile
		return err
	}
	for _, file := range files {
		if err := syncPath(filepath.Join(directory, file.Name())); err != nil {
			return err
		}
	}
	return syncUpTo(root, directory)
}

// syncUpTo writes a path below root to the disk, and all directories up to root.
func syncUpTo(root, path string) error {
	for ; len(path) >= len(root); path = filepath.Dir(path) {
		if err := syncPath(path); err != nil {
			return err
		}
	}
	return nil
}

// fsync is a variable, so that a test can see what is written to the disk.
var fsync = (*os.File).Sync

func syncPath(path string) error {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) { // it was deleted meanwhile
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	return fsync(f)
}

// leftoverAge is the age at which an upload in parts that is not finished is removed.
const leftoverAge = 24 * time.Hour

// removeLeftovers removes from a bucket what a server that was killed did not finish, and
// uploads that nobody finished.
func removeLeftovers(bucket string) error {
	temporary, err := filepath.Glob(filepath.Join(bucket, posix.MetaTmpDir, "*"))
	if err != nil {
		return err
	}
	uploads, err := filepath.Glob(filepath.Join(bucket, posix.MetaTmpMultipartDir, "*", "*"))
	if err != nil {
		return err
	}
	for _, path := range temporary {
		if info, err := os.Lstat(path); err == nil && info.Mode().IsRegular() {
			if err := os.Remove(path); err != nil {
				return err
			}
		}
	}
	for _, path := range uploads {
		if info, err := os.Lstat(path); err == nil && time.Since(info.ModTime()) > leftoverAge {
			if err := os.RemoveAll(path); err != nil {
				return err
			}
		}
	}
	return nil
}
