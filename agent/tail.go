package agent

import (
	"io"
	"strings"
	"sync"
)

// tailBytes is how much of a worker's standard error is kept: enough to see
// the cause, little enough to fit a receipt.
const tailBytes = 2048

// tail is a writer that keeps the last tailBytes of what it is given. Safe for
// use from several goroutines.
type tail struct {
	mu   sync.Mutex
	kept []byte
}

// Write keeps p's end. It never fails.
func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.kept = append(t.kept, p[max(0, len(p)-tailBytes):]...)
	if over := len(t.kept) - tailBytes; over > 0 {
		t.kept = append(t.kept[:0], t.kept[over:]...)
	}
	return len(p), nil
}

// notText stands for what is no text in JSON: U+0000, which no payload may hold.
var notText = strings.NewReplacer("\x00", "\uFFFD")

// String is what was kept, as valid UTF-8 without U+0000. A line whose start was
// lost is left out, unless it is all there is.
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	text := string(t.kept)
	if len(t.kept) == tailBytes {
		if _, rest, ok := strings.Cut(text, "\n"); ok && rest != "" {
			text = rest
		}
	}
	return strings.TrimRight(notText.Replace(strings.ToValidUTF8(text, "\uFFFD")), "\n")
}

// unfailing is a writer beside which others go on when it fails.
type unfailing struct{ io.Writer }

// Write never fails.
func (u unfailing) Write(p []byte) (int, error) {
	_, _ = u.Writer.Write(p)
	return len(p), nil
}
