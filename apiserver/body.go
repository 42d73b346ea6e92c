// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"os"
	"strings"
	"time"

	"procman.dev/procman/internal/budget"
	"procman.dev/procman/internal/rules"
	"procman.dev/procman/internal/schema"
)

const (
	// maxBodyBytes bounds the memory of all bodies that are being read or processed.
	maxBodyBytes = 32 << 20
	// maxParseBytes bounds the memory of all bodies that are being parsed. It is enough for
	// one of 8 MiB with the smallest elements. Bodies wait for it, up to parseWait: if they
	// were refused, several large ones could refuse each other again and again.
	maxParseBytes = 49 << 20
	parseWait     = 10 * time.Second
	// envelopeBytes is the room in a body for more than the input: {"input":} and white
	// space. The input itself is checked against its own limit.
	envelopeBytes = 1024
	// firstRead is the memory that a body gets first. It gets more as it grows, so that
	// clients that announce much and send little do not exclude others.
	firstRead = 4 << 10
	// gzipBytes is the memory that the decompression of a body takes.
	gzipBytes = 64 << 10
	// paceBytes is how often it is checked whether a body arrives fast enough.
	paceBytes = 64 << 10
	// lowMemory is how little memory must be free for fastPace.
	lowMemory = maxBodyBytes / 2
)

// pace is how fast a body must arrive: within the time of its bytes at bytesPerSecond, and
// the slack.
type pace struct {
	slack          time.Duration
	bytesPerSecond int
}

// If little memory is free, slow clients must not exclude others.
var (
	slowPace = pace{readTimeout, 16 << 10}
	fastPace = pace{5 * time.Second, 100 << 10}
)

// deadline returns when a body that began at a time must have more than some bytes.
func (p pace) deadline(began time.Time, bytes int) time.Time {
	return began.Add(p.slack + time.Duration(bytes)*time.Second/time.Duration(p.bytesPerSecond))
}

// readBody returns the body of a request, decompressed, whose input can have up to
// maxInputBytes, and the memory that it takes, which the caller releases. It refuses a body that announces
// to be longer without reading it, and any other as soon as it is longer, compressed or
// not. A body that is too slow, or for which there is no memory, is refused with
// TooManyRequests.
func (s *Server) readBody(w http.ResponseWriter, r *http.Request, maxInputBytes int) (_ []byte, _ *budget.Reservation, err error) {
	if !isJSON(r.Header) {
		return nil, nil, unsupportedMediaType.problem().with("Accept-Post", jsonType)
	}
	zipped, err := isGzip(r.Header)
	if err != nil {
		return nil, nil, err
	}
	limit := int64(maxInputBytes) + envelopeBytes
	if r.ContentLength > limit {
		return nil, nil, rules.InputTooLarge("", maxInputBytes)
	}
	body, needed := http.MaxBytesReader(w, r.Body, limit), int64(firstRead)
	if zipped {
		body, needed = http.MaxBytesReader(w, &gunzip{source: body}, limit), firstRead+gzipBytes
	}
	memory, err := s.bodyMemory.TryAcquire(needed)
	if err != nil {
		return nil, nil, tryAgain(err)
	}
	defer func() {
		if err != nil {
			memory.Release()
		}
	}()
	data := make([]byte, 0, firstRead)
	conn, began := http.NewResponseController(w), time.Now()
	due := 0 // this many bytes, or all, must have arrived at the read deadline
	for {
		if len(data) == cap(data) {
			grown := min(2*cap(data), int(limit)+1)
			if err := memory.Grow(int64(grown - cap(data))); err != nil {
				return nil, nil, tryAgain(err)
			}
			data = append(make([]byte, 0, grown), data...)
		}
		if len(data) >= due {
			due = len(data) + paceBytes
			pace := slowPace
			if s.bodyMemory.Free() < lowMemory {
				pace = fastPace
			}
			_ = conn.SetReadDeadline(pace.deadline(began, len(data))) // a recorder of a test has no deadline
		}
		n, err := body.Read(data[len(data):cap(data)])
		data = data[:len(data)+n]
		if err == io.EOF {
			return data, memory, nil
		}
		if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
			return nil, nil, rules.InputTooLarge("", maxInputBytes)
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return nil, nil, tryAgain(fmt.Errorf("read the body, of which %d bytes arrived in %s: %w", len(data), time.Since(began).Round(time.Millisecond), err))
		}
		if err != nil { // the client disconnected, or what it sends is malformed
			return nil, nil, invalidInput.at(schema.Details{In: "body", Message: "the body ends too early, or is not as Content-Encoding and Transfer-Encoding say"}).because(fmt.Errorf("read the body: %w", err))
		}
	}
}

// tryAgain is the problem of a body for which there is no memory or no time.
func tryAgain(err error) *problem {
	return busy(time.Second).with("Connection", "close").because(err)
}

// isJSON reports whether a request announces plain JSON. Its charset does not matter:
// JSON has one encoding (RFC 8259, section 8.1).
func isJSON(h http.Header) bool {
	media, _, err := mime.ParseMediaType(h.Get("Content-Type"))
	return media == jsonType && (err == nil || errors.Is(err, mime.ErrInvalidMediaParameter))
}

// isGzip reports whether the body of a request is compressed. It returns a problem for a
// coding other than gzip.
func isGzip(h http.Header) (bool, error) {
	switch strings.ToLower(strings.TrimSpace(strings.Join(h.Values("Content-Encoding"), ","))) {
	case "", "identity":
		return false, nil
	case "gzip", "x-gzip": // RFC 9110, section 8.4.1.3
		return true, nil
	default:
		return false, unsupportedMediaType.at(schema.Details{
			In: "header", At: "Content-Encoding", Expected: json.RawMessage(`{"enum":["gzip","identity"]}`),
		}).with("Accept-Encoding", "gzip, identity")
	}
}

// gunzip decompresses source. It reads nothing before it is read.
type gunzip struct {
	source io.ReadCloser
	reader *gzip.Reader
}

func (g *gunzip) Read(p []byte) (n int, err error) {
	if g.reader == nil {
		if g.reader, err = gzip.NewReader(g.source); err != nil {
			return 0, err
		}
	}
	return g.reader.Read(p)
}

func (g *gunzip) Close() error { return g.source.Close() }
