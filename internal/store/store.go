// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

// Package store keeps payloads in an object store: a bucket of S3, Google Cloud Storage
// or Azure, or a directory. An object is written once, never changed, and deleted.
package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/url"
	"time"

	"gocloud.dev/blob"
	"gocloud.dev/gcerrors"

	_ "gocloud.dev/blob/fileblob" // the others are in package schemes
)

// The errors of a Store. Any other error means that the store did not answer, or refused
// the request; the same request can succeed later.
var (
	// ErrNotFound: there is no object with this key.
	ErrNotFound = errors.New("the store has no such object")
	// ErrDamaged: the object is not the one that was written: its size or its SHA-256 is
	// another one.
	ErrDamaged = errors.New("the object in the store is damaged")
)

const (
	// putTimeout bounds a Put. A client waits for it.
	putTimeout = 30 * time.Second
	// answerTimeout bounds all other calls. A client waits for some of them.
	answerTimeout = 10 * time.Second
	// stallTimeout is how long a read waits for more bytes.
	stallTimeout = 20 * time.Second
	// minPartBytes is the smallest part of an upload that S3 accepts. An object of up to
	// this size, or of the buffer's size if that is larger, takes one request.
	minPartBytes = 5 << 20
)

// FlagUsage describes the flag --store of the programs that use a store.
const FlagUsage = "URL of the object store for large payloads: s3://BUCKET, gs://BUCKET, azblob://CONTAINER or file:///DIRECTORY, with the parameters of gocloud.dev/blob; required"

// Store is an object store. It is safe for concurrent use.
type Store struct {
	bucket *blob.Bucket
}

// Open returns the store at a URL: s3://BUCKET?..., gs://BUCKET, azblob://CONTAINER or
// file:///DIRECTORY, with the query parameters of gocloud.dev/blob. Credentials come from
// the environment, as the libraries of each store expect them. Open does not connect.
func Open(ctx context.Context, address string) (*Store, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	if u.Scheme == "file" {
		q := u.Query()
		// Objects appear under their names only when they are complete. The files for that
		// are in the directory itself: a rename must not cross file systems.
		q.Set("no_tmp_dir", "true")
		q.Set("metadata", "skip")
		q.Set("create_dir", "true")
		u.RawQuery = q.Encode()
	}
	bucket, err := blob.OpenBucket(ctx, u.String())
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	return &Store{bucket}, nil
}

// Put writes an object. When it returns nil, the object is complete. When it returns an
// error, there can be an object or not.
func (s *Store) Put(ctx context.Context, key string, content []byte) error {
	ctx, cancel := context.WithTimeout(ctx, putTimeout)
	defer cancel()
	err := s.bucket.Upload(ctx, key, bytes.NewReader(content), &blob.WriterOptions{
		ContentType: "application/octet-stream", BufferSize: max(len(content), minPartBytes), MaxConcurrency: 1,
	})
	if err != nil {
		return fmt.Errorf("write %s to the store: %w", key, err)
	}
	return nil
}

// Digest identifies the content of an object.
type Digest struct {
	// Bytes is the size.
	Bytes int64
	// SHA256 is the SHA-256 in lowercase hexadecimal digits.
	SHA256 string
}

// Read returns the content of an object. The reader returns the last bytes only if the
// content has the digest, and ErrDamaged otherwise: anyone who got everything got what was
// written. It takes two buffers of chunkBytes. The caller closes it. The error is
// ErrNotFound if there is no such object.
func (s *Store) Read(ctx context.Context, key string, digest Digest) (io.ReadCloser, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	stall := time.AfterFunc(answerTimeout, func() { cancel(errStalled) })
	content, err := s.bucket.NewReader(ctx, key, nil)
	if err != nil {
		stall.Stop()
		err = readError(ctx, key, err)
		cancel(nil)
		return nil, err
	}
	stall.Stop()
	return newVerified(ctx, key, digest, content, stall, cancel), nil
}

var errStalled = errors.New("the store does not answer")

// readError returns the error of a read. ctx is the context of the read.
func readError(ctx context.Context, key string, err error) error {
	switch {
	case gcerrors.Code(err) == gcerrors.NotFound:
		err = fmt.Errorf("%w: %w", ErrNotFound, err)
	case errors.Is(context.Cause(ctx), errStalled):
		err = fmt.Errorf("%w: %w", errStalled, err)
	}
	return fmt.Errorf("read %s from the store: %w", key, err)
}

// Delete deletes an object. It returns nil if there is none.
func (s *Store) Delete(ctx context.Context, key string) error {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	if err := s.bucket.Delete(ctx, key); err != nil && gcerrors.Code(err) != gcerrors.NotFound {
		return fmt.Errorf("delete %s from the store: %w", key, err)
	}
	return nil
}

// Keys yields the keys of all objects whose key begins with a prefix, in pages that are
// read one after the other. An error is the last thing that it yields.
func (s *Store) Keys(ctx context.Context, prefix string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for token := blob.FirstPageToken; token != nil; {
			objects, next, err := s.page(ctx, prefix, token)
			if err != nil {
				yield("", fmt.Errorf("list the store: %w", err))
				return
			}
			for _, o := range objects {
				if !yield(o.Key, nil) {
					return
				}
			}
			token = next
		}
	}
}

// pageSize is the number of keys in a page: the maximum of S3.
const pageSize = 1000

func (s *Store) page(ctx context.Context, prefix string, token []byte) ([]*blob.ListObject, []byte, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	return s.bucket.ListPage(ctx, token, pageSize, &blob.ListOptions{Prefix: prefix})
}

// Check returns an error if the store does not answer, or the bucket does not exist.
func (s *Store) Check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	switch ok, err := s.bucket.IsAccessible(ctx); {
	case err != nil:
		return fmt.Errorf("reach the store: %w", err)
	case !ok:
		return errors.New("reach the store: the bucket does not exist, or its credentials are not accepted")
	}
	return nil
}

// Close frees the connections.
func (s *Store) Close() error { return s.bucket.Close() }
