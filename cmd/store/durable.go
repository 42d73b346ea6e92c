// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/versity/versitygw/backend/posix"
	"github.com/versity/versitygw/s3response"
)

// durable adds two guarantees to the files of versitygw, which makes neither: what was
// answered with success is on the disk, and a body that was cut off becomes no object.
type durable struct {
	*posix.Posix
	root string // the directory of the buckets
}

// PutObject writes an object.
func (d *durable) PutObject(ctx context.Context, in s3response.PutObjectInput) (s3response.PutObjectOutput, error) {
	out, err := d.PutObjectWithPostFunc(ctx, in, whole(in.ContentLength))
	if err != nil {
		return out, err
	}
	return out, d.sync(*in.Bucket, *in.Key)
}

// UploadPart writes a part of an upload. Its bytes are synced with the whole object.
func (d *durable) UploadPart(ctx context.Context, in *s3.UploadPartInput) (*s3.UploadPartOutput, error) {
	return d.UploadPartWithPostFunc(ctx, in, whole(in.ContentLength))
}

// CompleteMultipartUpload makes an object of the parts of an upload.
func (d *durable) CompleteMultipartUpload(ctx context.Context, in *s3.CompleteMultipartUploadInput) (s3response.CompleteMultipartUploadResult, string, error) {
	out, version, err := d.Posix.CompleteMultipartUpload(ctx, in)
	if err != nil {
		return out, version, err
	}
	return out, version, d.sync(*in.Bucket, *in.Key)
}

// CopyObject copies an object.
func (d *durable) CopyObject(ctx context.Context, in s3response.CopyObjectInput) (s3response.CopyObjectOutput, error) {
	out, err := d.Posix.CopyObject(ctx, in)
	if err != nil {
		return out, err
	}
	return out, d.sync(*in.Bucket, *in.Key)
}

// whole returns a function that returns an error if a file has another size than its body
// had to have: the client has disconnected.
func whole(size *int64) func(*os.File) error {
	return func(f *os.File) error {
		info, err := f.Stat()
		if err != nil {
			return err
		}
		if size != nil && info.Size() != *size {
			return fmt.Errorf("the body has %d bytes, expected %d", info.Size(), *size)
		}
		return nil
	}
}

// sync writes an object to the disk, with the directories in which its name is.
func (d *durable) sync(bucket, key string) error {
	for path := filepath.Join(d.root, bucket, key); path != d.root; path = filepath.Dir(path) {
		if err := syncPath(path); err != nil {
			return fmt.Errorf("write an object to the disk: %w", err)
		}
	}
	return nil
}

func syncPath(path string) error {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) { // it was deleted meanwhile
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	return f.Sync()
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
