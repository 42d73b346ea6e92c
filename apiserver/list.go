package apiserver

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/validation"

	"procman.dev/procman/api/v1alpha1"
	"procman.dev/procman/internal/schema"
	"procman.dev/procman/internal/strictjson"
)

const (
	defaultPage = 50
	maxPage     = 500
	// maxPageBytes is the size from which on a page is full.
	maxPageBytes = 2 << 20
	// smallPageBytes is the largest page that needs no room among the larges.
	smallPageBytes = 64 << 10
)

// query is what a client asks of a list.
type query struct {
	state v1alpha1.State // "" for all
	limit int
	after position // the zero position is before the newest
	show  payloads
}

// listProcesses serves GET and HEAD /v1/processes/{type}. A page begins behind a
// place in the order, not behind a process, so that it does not matter what has
// expired since.
func (s *Server) listProcesses(w http.ResponseWriter, r *http.Request) error {
	pt := s.types.lookup(r.PathValue("type"))
	if pt == nil {
		return resourceNotFound.failure()
	}
	q, err := queryOf(r.URL.RawQuery)
	if err != nil {
		return err
	}
	now := s.clock.Now()
	fits := func(p *v1alpha1.Process) bool { return !p.Expired(now) && (q.state == "" || q.state == stateOf(p)) }
	var page []*v1alpha1.Process
	more, large, size := false, false, 0
	s.cache.after(pt.Name, q.after, func(p *v1alpha1.Process) bool {
		if !fits(p) {
			return true
		}
		if more = len(page) == q.limit; more {
			return false
		}
		page = append(page, p)
		large = large || !whole(p, q.show)
		size += len(p.Status.ErrorDetails)
		if q.show.input {
			size += len(p.Spec.Input)
		}
		if q.show.output {
			size += len(p.Status.Output)
		}
		return true
	})
	if large || size > smallPageBytes {
		leave, err := s.larges.enter(r.Context(), 2*maxPageBytes+maxObjectBytes)
		if err != nil {
			return err
		}
		defer leave()
	}
	list, items := wire{}, 0
	list.raw("processes", "[")
	for n, p := range page {
		if !whole(p, q.show) {
			p, err = s.readWhole(r.Context(), p)
			if f, ok := errors.AsType[*failure](err); ok && (f.cause == resourceNotFound || f.cause == resourceExpired) {
				continue // gone since
			}
			if err != nil {
				return err
			}
			if !fits(p) {
				continue // finished since
			}
		}
		if items++; items > 1 {
			list.b.WriteByte(',')
		}
		list.b.Write(s.body(p, q.show))
		if list.b.Len() >= maxPageBytes && n < len(page)-1 {
			page, more = page[:n+1], true
			break
		}
	}
	list.b.WriteByte(']')
	if more {
		list.text("continue", positionOf(page[len(page)-1]).token())
	}
	return reply(w, http.StatusOK, list.end())
}

// queryOf reads the query of a list. It returns the failure that says which
// parameter is wrong, and what is expected.
func queryOf(raw string) (query, error) {
	q := query{limit: defaultPage, after: position{created: farFuture}}
	values, err := url.ParseQuery(raw)
	if err != nil {
		return q, invalidInput.at(schema.Details{In: "query"})
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		parameter, ok := parameters[name]
		if !ok {
			return q, unrecognizedInput.at(schema.Details{In: "query", At: strictjson.Key("", name)})
		}
		if len(values[name]) > 1 || !parameter.set(&q, values[name][0]) {
			return q, invalidInput.at(schema.Details{In: "query", At: name, Expected: json.RawMessage(parameter.expected)})
		}
	}
	return q, nil
}

// parameter is one of a list's query.
type parameter struct {
	expected string // JSON: what a value has to be
	set      func(*query, string) bool
}

var parameters = map[string]parameter{
	"state": {`{"enum":["processing","complete","error"]}`, func(q *query, value string) bool {
		q.state = v1alpha1.State(value)
		return q.state == v1alpha1.StateProcessing || q.state == v1alpha1.StateComplete || q.state == v1alpha1.StateError
	}},
	"limit": {`{"type":"integer","minimum":1,"maximum":` + strconv.Itoa(maxPage) + `}`, func(q *query, value string) (ok bool) {
		n, err := strconv.ParseUint(value, 10, 16)
		q.limit = int(n)
		return err == nil && 1 <= n && n <= maxPage
	}},
	"continue": {`{"type":"string","description":"the continue of an earlier page"}`, func(q *query, value string) (ok bool) {
		q.after, ok = positionIn(value)
		return ok
	}},
	"include": {`{"type":"array","items":{"enum":["input","output"]}}`, func(q *query, value string) bool {
		for name := range strings.SplitSeq(value, ",") {
			switch name {
			case "input":
				q.show.input = true
			case "output":
				q.show.output = true
			default:
				return false
			}
		}
		return true
	}},
}

// farFuture is later than every creation.
var farFuture = time.Unix(1<<40, 0)

// token is a position as clients carry it from page to page.
func (a position) token() string {
	return base64.RawURLEncoding.EncodeToString(append(binary.BigEndian.AppendUint64(nil, uint64(a.created.Unix())), a.name...))
}

// positionIn is the position in a token.
func positionIn(token string) (position, bool) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || len(raw) < 8 {
		return position{}, false
	}
	name := string(raw[8:])
	if len(validation.IsDNS1123Label(name)) > 0 {
		return position{}, false
	}
	return position{created: time.Unix(int64(binary.BigEndian.Uint64(raw)), 0), name: name}, true
}
