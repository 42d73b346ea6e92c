// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"io"
	"strings"
	"sync"
)

// tailBytes is how much of a worker's standard error is kept: enough to show the cause of
// a crash, and small enough for a receipt.
const tailBytes = 2048

// tail is a writer that keeps the last tailBytes of what was written. It is safe for
// concurrent use.
type tail struct {
	mu   sync.Mutex
	kept []byte
}

// Write never fails.
func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.kept = append(t.kept, p[max(0, len(p)-tailBytes):]...)
	if excess := len(t.kept) - tailBytes; excess > 0 {
		t.kept = append(t.kept[:0], t.kept[excess:]...)
	}
	return len(p), nil
}

// withoutNUL replaces U+0000, which payloads must not contain.
var withoutNUL = strings.NewReplacer("\x00", "\uFFFD")

// String returns what was kept as valid UTF-8 without U+0000. It omits the first line if
// the beginning of that line was dropped, unless it is the only line.
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	text := string(t.kept)
	if len(t.kept) == tailBytes {
		if _, rest, ok := strings.Cut(text, "\n"); ok && rest != "" {
			text = rest
		}
	}
	return strings.TrimRight(withoutNUL.Replace(strings.ToValidUTF8(text, "\uFFFD")), "\n")
}

// ignoreErrors is a writer that never fails, so that an io.MultiWriter continues with
// the other writers.
type ignoreErrors struct{ io.Writer }

// Write never fails.
func (w ignoreErrors) Write(p []byte) (int, error) {
	_, _ = w.Writer.Write(p)
	return len(p), nil
}
