package apiserver

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"os"
	"sync/atomic"
	"time"

	"procman.dev/procman/internal/schema"
	"procman.dev/procman/internal/strictjson"
)

// envelopeBytes is what a request's body may hold beyond the largest input of
// its type: {"input":} and white space around. The input itself is held against
// its own limit once it is cut out.
const envelopeBytes = 1024

const jsonType = "application/json"

// bodies is the memory that requests may take for bodies that are under way.
type bodies struct {
	left atomic.Int64
}

const (
	// maxBodies is how much that is at most. What is made of a body on its way to
	// the API server is several times its size.
	maxBodies = 16 << 20
	// firstRead is what a body gets at first; it is given more as it grows, so
	// that clients who announce much and send little do not keep others out.
	firstRead = 4 << 10
	// When less than scarce is left, a body brings paceBytes in each paceTime, or the
	// rest of it: clients that have stalled would keep others out for all of
	// readTimeout.
	scarce    = maxBodies / 2
	paceBytes = 64 << 10
	paceTime  = 5 * time.Second
)

// newBodies returns bodies of maxBodies.
func newBodies() *bodies {
	b := &bodies{}
	b.left.Store(maxBodies)
	return b
}

// take takes n bytes, or says that there are none left.
func (b *bodies) take(n int) bool {
	if b.left.Add(-int64(n)) >= 0 {
		return true
	}
	b.left.Add(int64(n))
	return false
}

// read returns the body of a request whose input may have up to maxInput bytes,
// and a function that gives its memory back. A body that says to be longer is
// refused unread, any other as soon as it turns out to be longer; with too much
// under way already, or when it is too slow for that, the client is told to try
// again.
func (b *bodies) read(w http.ResponseWriter, r *http.Request, maxInput int) (_ []byte, release func(), err error) {
	if !isJSON(r.Header) {
		return nil, nil, unsupportedMediaType.failure().with("Accept-Post", jsonType)
	}
	limit := int64(maxInput) + envelopeBytes
	if r.ContentLength > limit {
		return nil, nil, tooLarge("", maxInput)
	}
	taken := 0
	giveBack := func() { b.left.Add(int64(taken)) }
	defer func() {
		if err != nil {
			giveBack()
		}
	}()
	var data []byte
	body := http.MaxBytesReader(w, r.Body, limit)
	conn, began := http.NewResponseController(w), time.Now()
	due := 0 // so much has to be there, or all, before the connection's deadline
	for {
		if free := cap(data) - len(data); free == 0 {
			grow := max(cap(data), firstRead)
			if !b.take(grow) {
				return nil, nil, tryAgain(nil)
			}
			taken += grow
			data = append(make([]byte, 0, cap(data)+grow), data...)
		}
		if len(data) >= due {
			due = len(data) + paceBytes
			patience := readTimeout
			if b.left.Load() < scarce {
				patience = min(patience, time.Since(began)+paceTime)
			}
			_ = conn.SetReadDeadline(began.Add(patience)) // not every test's writer has one
		}
		n, err := body.Read(data[len(data):cap(data)])
		data = data[:len(data)+n]
		if err == io.EOF {
			return data, giveBack, nil
		}
		if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
			return nil, nil, tooLarge("", maxInput)
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return nil, nil, tryAgain(fmt.Errorf("read the body, of which %d bytes came in %s: %w", len(data), time.Since(began).Round(time.Millisecond), err))
		}
		if err != nil {
			// The client broke off, or sent chunks that are none.
			return nil, nil, &failure{cause: invalidInput, details: schema.Details{In: "body"}, log: fmt.Errorf("read the body: %w", err)}
		}
	}
}

// tryAgain is the failure of a body for which there is no room, or no time.
func tryAgain(log error) *failure {
	return (&failure{cause: tooManyRequests, log: log}).with("Retry-After", "1").with("Connection", "close")
}

// isJSON says whether the header announces plain JSON; its charset parameter is
// of no matter, since JSON has one encoding (RFC 8259, section 8.1).
func isJSON(h http.Header) bool {
	if encoding := h.Get("Content-Encoding"); encoding != "" && encoding != "identity" {
		return false
	}
	media, _, err := mime.ParseMediaType(h.Get("Content-Type"))
	return media == jsonType && (err == nil || errors.Is(err, mime.ErrInvalidMediaParameter))
}

// inputIn cuts the input out of a request's body and holds it against the type.
// The input is returned as it was sent, byte for byte, also when it is the type
// that refuses it.
func inputIn(data []byte, maxInput int, s *schema.Schema) ([]byte, error) {
	body, err := strictjson.Parse(data)
	if err != nil {
		details := schema.Details{In: "body"}
		if e, ok := errors.AsType[*strictjson.Error](err); ok {
			details.At = e.At
		}
		return nil, invalidInput.at(details)
	}
	value, ok := body.Member("input")
	if !ok {
		return nil, missingInput.at(schema.Details{In: "body", At: "input"})
	}
	input := value.Raw()
	for name := range body.Members() {
		if name != "input" {
			return nil, unrecognizedInput.at(schema.Details{In: "body", At: strictjson.Key("", name)})
		}
		if len(input) > maxInput {
			return input, tooLarge("input", maxInput)
		}
		if !storable(input) {
			return input, unstorable()
		}
		if violation := s.Validate("input", value); violation != nil {
			return input, violated(violation)
		}
	}
	return input, nil
}

// maxStoredInput bounds an input as it is stored, in bytes: of the 1.5 MiB that
// etcd takes by default it leaves room for an output and the rest of a Process.
const maxStoredInput = 5 << 18

// storable says whether the cluster can store an input. It is stored in JSON, as a
// text, where a quote takes two bytes, and a "<" six.
func storable(input []byte) bool {
	const longestEscape = 6
	if len(input) <= maxStoredInput/longestEscape {
		return true
	}
	stored, err := json.Marshal(string(input))
	return err == nil && len(stored) <= maxStoredInput
}

// unstorable is the failure of an input within the type's limit that is not storable.
func unstorable() *failure {
	f := tooLarge("input", maxStoredInput)
	f.details.Message = "this is the limit of the input as it is stored, with an escape for each quote, backslash, <, > and &"
	return f
}

// tooLarge is the failure of a body, or of the input at a place in it. What it
// names is always the limit of the input.
func tooLarge(at string, maxInput int) *failure {
	expected := fmt.Appendf(nil, `{"maxBytes":%d}`, maxInput)
	details := schema.Details{In: "body", At: at, Expected: json.RawMessage(expected)}
	return inputTooLarge.at(details).with("Connection", "close") // rather than read the rest
}
