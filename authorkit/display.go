// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package authorkit

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"

	"procman.dev/procman/authorkit/localrun"
)

// display shows the progress of a process: one line for each event and, on a
// terminal, a status line that is rewritten in place.
type display struct {
	mu       sync.Mutex
	out      io.Writer
	terminal bool
	// status is the text of the status line; "" if none is shown.
	status string
	// since is when the attempt started.
	since time.Time
	// percent is the progress; -1 if none was reported.
	percent int32
	// midLine is true if the last output did not end with a newline.
	midLine bool
	quit    chan struct{}
	done    chan struct{}
}

// newDisplay returns a display that writes to out. The caller must close it.
func newDisplay(out io.Writer) *display {
	d := &display{out: out, percent: -1, quit: make(chan struct{}), done: make(chan struct{})}
	if file, ok := out.(*os.File); ok {
		d.terminal = term.IsTerminal(int(file.Fd()))
	}
	go d.tick()
	return d
}

// tick redraws the status line every second, because it shows the elapsed time.
func (d *display) tick() {
	defer close(d.done)
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-d.quit:
			return
		case <-tick.C:
			d.mu.Lock()
			d.erase()
			d.draw()
			d.mu.Unlock()
		}
	}
}

// close removes the status line and stops its updates.
func (d *display) close() {
	close(d.quit)
	<-d.done
	d.mu.Lock()
	defer d.mu.Unlock()
	d.erase()
	d.status = ""
}

// observe shows an event.
func (d *display) observe(e localrun.Event) {
	d.mu.Lock()
	defer d.mu.Unlock()
	attempt := fmt.Sprintf("attempt %d of %d", e.Attempt, e.Attempts)
	d.erase()
	switch e.Kind {
	case localrun.Started:
		d.status, d.since, d.percent = attempt, time.Now(), -1
		if !d.terminal {
			d.line(attempt + ": running")
		}
	case localrun.Progressed:
		d.percent = e.Percent
		if !d.terminal {
			d.line(fmt.Sprintf("%s: %d%%", attempt, e.Percent))
		}
	case localrun.Ended:
		d.status = ""
		result := "complete"
		if !e.Result.Complete() {
			result = localrun.Explain(e.Result.ErrorCode, e.Result.ErrorDetails)
		}
		if e.Retry {
			result += "; trying again"
		}
		d.line(attempt + ": " + result)
	case localrun.Wrote: // not shown: clients see only what the agent reports
	}
	d.draw()
}

// line writes a line that stays on the screen.
func (d *display) line(text string) {
	if d.midLine {
		text = "\n" + text
	}
	_, _ = fmt.Fprintln(d.out, text)
	d.midLine = false
}

// barWidth is the width of the progress bar in characters.
const barWidth = 20

// draw writes the status line.
func (d *display) draw() {
	if !d.terminal || d.status == "" {
		return
	}
	if d.midLine {
		_, _ = fmt.Fprintln(d.out)
		d.midLine = false
	}
	text := d.status
	if d.percent >= 0 {
		full := int(d.percent) * barWidth / 100
		text += fmt.Sprintf(" [%s%s] %3d%%", strings.Repeat("#", full), strings.Repeat("-", barWidth-full), d.percent)
	}
	_, _ = fmt.Fprintf(d.out, "%s %ds", text, int(time.Since(d.since).Seconds()))
}

// erase removes the status line from the screen.
func (d *display) erase() {
	if d.terminal && d.status != "" && !d.midLine {
		_, _ = io.WriteString(d.out, "\r\x1b[K")
	}
}

// wrap returns a writer to w that removes the status line before it writes and draws it
// again afterwards.
func (d *display) wrap(w io.Writer) io.Writer { return writer{d, w} }

type writer struct {
	d *display
	w io.Writer
}

func (w writer) Write(p []byte) (int, error) {
	w.d.mu.Lock()
	defer w.d.mu.Unlock()
	w.d.erase()
	n, err := w.w.Write(p)
	w.d.midLine = len(p) > 0 && !bytes.HasSuffix(p, []byte("\n"))
	if !w.d.midLine {
		w.d.draw()
	}
	return n, err
}
