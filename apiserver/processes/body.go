// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package processes

import (
	"context"
	"fmt"
	"io"

	"procman.dev/procman/api/v1alpha1"
	"procman.dev/procman/internal/budget"
	"procman.dev/procman/internal/payload"
	"procman.dev/procman/internal/store"
	"procman.dev/procman/internal/wire"
)

// streamBytes is the memory that a body takes while a payload is read from the store: the
// buffers of the read, of the copy and of the connection to the store.
const streamBytes = 128 << 10

// Body is a JSON text whose large payloads are read from the store while it is sent. Its
// methods are not safe for concurrent use.
type Body struct {
	parts []part
	bytes int64

	store  *Store
	first  io.ReadCloser       // the content of the first payload in the store; nil before Open
	memory *budget.Reservation // nil before Open
}

// part is a text, or else a payload in the store.
type part struct {
	text   []byte
	key    string // of the payload; "" for a text
	digest store.Digest
}

// newBody returns the body of the parts of one process.
func (s *Store) newBody(p *v1alpha1.Process, parts []wire.Part) *Body {
	b := s.NewBody()
	for _, it := range parts {
		if it.Stored.IsZero() {
			b.Append(it.Text)
			continue
		}
		b.parts = append(b.parts, part{key: payload.Key(p.Namespace, p.Name, it.Stored), digest: payload.Digest(it.Stored)})
		b.bytes += int64(it.Stored.Bytes)
	}
	return b
}

// NewBody returns an empty body.
func (s *Store) NewBody() *Body { return &Body{store: s} }

// Append adds a text, which must not change afterwards.
func (b *Body) Append(text []byte) {
	b.parts = append(b.parts, part{text: text})
	b.bytes += int64(len(text))
}

// AppendBody adds another body, which was not opened.
func (b *Body) AppendBody(other *Body) {
	b.parts = append(b.parts, other.parts...)
	b.bytes += other.bytes
}

// Bytes returns the size.
func (b *Body) Bytes() int64 { return b.bytes }

// Open makes the body ready to be sent. It opens the first payload in the store, so that
// most failures of the store are known before anything is sent. The error is a StoreError,
// or a BusyError if too many large answers are being sent. The caller closes the body, also
// after an error.
func (b *Body) Open(ctx context.Context) error {
	for _, it := range b.parts {
		if it.key == "" {
			continue
		}
		var err error
		if b.memory, err = b.store.large.reserve(ctx, streamBytes); err != nil {
			return err
		}
		b.first, err = b.open(ctx, it)
		return err
	}
	return nil
}

func (b *Body) open(ctx context.Context, it part) (io.ReadCloser, error) {
	content, err := b.store.objects.Read(ctx, it.key, it.digest)
	if err != nil {
		return nil, &StoreError{err}
	}
	return content, nil
}

// Send writes a body that was opened. A StoreError means that the rest cannot be read; any
// other error is one of w.
func (b *Body) Send(ctx context.Context, w io.Writer) error {
	for _, it := range b.parts {
		if it.key == "" {
			if _, err := w.Write(it.text); err != nil {
				return fmt.Errorf("send: %w", err)
			}
			continue
		}
		if err := b.sendStored(ctx, w, it); err != nil {
			return err
		}
	}
	return nil
}

func (b *Body) sendStored(ctx context.Context, w io.Writer, it part) (err error) {
	content := b.first
	if b.first = nil; content == nil {
		if content, err = b.open(ctx, it); err != nil {
			return err
		}
	}
	defer func() { _ = content.Close() }()
	source := &failingReader{content: content}
	_, err = io.Copy(struct{ io.Writer }{w}, source)
	switch {
	case source.err != nil:
		return &StoreError{source.err}
	case err != nil:
		return fmt.Errorf("send: %w", err)
	}
	return nil
}

// failingReader keeps the error of a reader, so that it differs from that of a writer.
type failingReader struct {
	content io.Reader
	err     error
}

func (r *failingReader) Read(p []byte) (int, error) {
	n, err := r.content.Read(p)
	if err != nil && err != io.EOF {
		r.err = err
	}
	return n, err
}

// Close releases what Open took.
func (b *Body) Close() {
	if b.first != nil {
		_ = b.first.Close()
	}
	if b.memory != nil {
		b.memory.Release()
	}
}
