package agent

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
	"time"

	"procman.dev/procman/internal/agentapi"
)

// file is a file a worker left: its size in bytes and, when that was within
// bounds, its content.
type file struct {
	size    int64
	content []byte
	err     error
}

// readFile reads a file that the worker left, of at most limit bytes; a larger
// one only has its size told. nil when there is none. What is not a regular file
// is an error: a link is not followed, a pipe not waited for.
func readFile(name string, limit int64) *file {
	f, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case errors.Is(err, syscall.ELOOP):
		return &file{err: fmt.Errorf("%s is a symbolic link, expected a regular file", name)}
	case err != nil:
		return &file{err: err}
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return &file{err: err}
	}
	if !info.Mode().IsRegular() {
		return &file{err: fmt.Errorf("%s is not a regular file", name)}
	}
	if info.Size() > limit {
		return &file{size: info.Size()}
	}
	content, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return &file{err: err}
	}
	if int64(len(content)) > limit { // it has grown meanwhile
		content = nil
	}
	return &file{size: max(info.Size(), int64(len(content))), content: content}
}

// watchInterval is how often the sizes of the worker's files are looked at while
// it runs. By a clock rather than by inotify: two stats cost microseconds, while
// a worker that writes byte by byte would wake inotify as often, and a file that
// is renamed into place or written through a link of its own needs no case apart.
const watchInterval = 50 * time.Millisecond

// oversized are the output file and the error file as far as they have grown
// over their limits; nil where not.
func oversized(c *Config) (output, errorFile *file) {
	over := func(name string, limit int64) *file {
		info, err := os.Lstat(name)
		if err != nil || !info.Mode().IsRegular() || info.Size() <= limit {
			return nil
		}
		return &file{size: info.Size()}
	}
	return over(c.outputFile(), c.OutputLimit), over(c.errorFile(), agentapi.MaxErrorDetailsBytes)
}
