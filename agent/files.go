// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

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

// file is a file that the worker wrote: its size in bytes and, if that is within the
// limit, its content.
type file struct {
	size    int64
	content []byte
	err     error
}

// readFile reads a file that the worker wrote. It returns nil if the file does not exist.
// If the file has more than limit bytes, it returns only the size. Anything except a
// regular file is an error: readFile does not follow a link or wait for a pipe.
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
	if int64(len(content)) > limit { // it has grown since Stat
		content = nil
	}
	return &file{size: max(info.Size(), int64(len(content))), content: content}
}

// watchInterval is how often the agent checks the sizes of the worker's files while the
// worker runs. Two calls of stat take microseconds. inotify would wake the agent for each
// write of a worker that writes single bytes, and would need special cases for files that
// are renamed or written through a hard link.
const watchInterval = 50 * time.Millisecond

// oversized returns the output file and the error file, each of them only if it is larger
// than its limit, and nil otherwise.
func oversized(c *Config) (output, errorFile *file) {
	check := func(name string, limit int64) *file {
		info, err := os.Lstat(name)
		if err != nil || !info.Mode().IsRegular() || info.Size() <= limit {
			return nil
		}
		return &file{size: info.Size()}
	}
	return check(c.outputFile(), c.OutputLimit), check(c.errorFile(), agentapi.MaxErrorDetailsBytes)
}
