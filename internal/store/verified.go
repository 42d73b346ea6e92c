// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"time"
)

// chunkBytes is how much of an object is read at a time.
const chunkBytes = 32 << 10

// verified reads an object and verifies its digest. It holds one chunk back, until it knows
// that another one follows or that the digest is right.
type verified struct {
	ctx     context.Context
	key     string
	digest  Digest
	content io.ReadCloser
	stall   *time.Timer
	cancel  context.CancelCauseFunc

	hash         hash.Hash
	read         int64 // bytes of the object
	ready        []byte
	held, unused []byte // buffers; held contains the chunk that is held back
	err          error  // what follows ready
}

func newVerified(ctx context.Context, key string, digest Digest, content io.ReadCloser, stall *time.Timer, cancel context.CancelCauseFunc) *verified {
	return &verified{
		ctx: ctx, key: key, digest: digest, content: content, stall: stall, cancel: cancel,
		hash: sha256.New(), held: make([]byte, 0, chunkBytes), unused: make([]byte, 0, chunkBytes),
	}
}

func (v *verified) Read(p []byte) (int, error) {
	for len(v.ready) == 0 {
		if v.err != nil {
			return 0, v.err
		}
		v.next()
	}
	n := copy(p, v.ready)
	v.ready = v.ready[n:]
	return n, nil
}

// next reads a chunk. The chunk that was held back becomes ready, unless the object is
// damaged.
func (v *verified) next() {
	chunk := v.unused[:chunkBytes]
	v.stall.Reset(stallTimeout)
	n, err := io.ReadFull(v.content, chunk)
	v.stall.Stop()
	_, _ = v.hash.Write(chunk[:n]) // a hash returns no error
	v.read += int64(n)
	switch {
	case v.read > v.digest.Bytes:
		v.err = v.damaged(fmt.Sprintf("it has more than %d bytes", v.digest.Bytes))
		return
	case err == nil:
		v.ready, v.held, v.unused = v.held, chunk, v.held
		return
	case !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF):
		v.err = readError(v.ctx, v.key, err)
		return
	}
	switch sum := hex.EncodeToString(v.hash.Sum(nil)); {
	case v.read < v.digest.Bytes:
		v.err = v.damaged(fmt.Sprintf("it has %d bytes, expected %d", v.read, v.digest.Bytes))
	case sum != v.digest.SHA256:
		v.err = v.damaged("its SHA-256 is " + sum + ", expected " + v.digest.SHA256)
	default:
		v.ready, v.err = append(v.held, chunk[:n]...), io.EOF
	}
}

func (v *verified) damaged(why string) error {
	return fmt.Errorf("%w: %s: %s", ErrDamaged, v.key, why)
}

// Close frees the connection.
func (v *verified) Close() error {
	v.stall.Stop()
	v.cancel(nil)
	return v.content.Close()
}
