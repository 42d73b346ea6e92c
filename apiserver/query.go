// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"encoding/json"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"procman.dev/procman/api/v1alpha1"
	"procman.dev/procman/apiserver/processes"
	"procman.dev/procman/internal/schema"
	"procman.dev/procman/internal/strictjson"
	"procman.dev/procman/internal/wire"
)

const (
	defaultLimit = 50
	maxLimit     = 500
)

// parameter is a query parameter.
type parameter struct {
	expected string // describes valid values to clients, as JSON
	set      func(q *processes.Query, values []string) bool
}

// parameters are all query parameters. Each route accepts some of them.
var parameters = map[string]parameter{
	"state": {`{"enum":["processing","complete","error"]}`, once(func(q *processes.Query, value string) bool {
		q.State = v1alpha1.State(value)
		return q.State == v1alpha1.StateProcessing || q.State == v1alpha1.StateComplete || q.State == v1alpha1.StateError
	})},
	"limit": {`{"type":"integer","minimum":1,"maximum":` + strconv.Itoa(maxLimit) + `}`, once(func(q *processes.Query, value string) bool {
		n, err := strconv.ParseUint(value, 10, 16)
		q.Limit = int(n)
		return err == nil && 1 <= n && n <= maxLimit
	})},
	"continue": {`{"type":"string","description":"the continue of an earlier page"}`, once(func(q *processes.Query, value string) (ok bool) {
		q.After, ok = processes.ParsePosition(value)
		return ok
	})},
	"include": {`{"type":"array","items":{"enum":["input","output"]}}`, once(func(q *processes.Query, value string) bool {
		q.Show = wire.Payloads{}
		for name := range strings.SplitSeq(value, ",") {
			switch {
			case name == "input":
				q.Show.Input = true
			case name == "output":
				q.Show.Output = true
			case value != "": // without a value, no payload is shown
				return false
			}
		}
		return true
	})},
	"label": {`{"type":"string","description":"name=value, such as invoice=17; each name once"}`, func(q *processes.Query, values []string) bool {
		q.Labels = map[string]string{}
		for _, each := range values {
			name, value, ok := strings.Cut(each, "=")
			if _, twice := q.Labels[name]; !ok || twice || name == "" {
				return false
			}
			q.Labels[name] = value
		}
		return len(values) <= maxLabels
	}},
}

// once is for a parameter that can be there only once.
func once(set func(*processes.Query, string) bool) func(*processes.Query, []string) bool {
	return func(q *processes.Query, values []string) bool { return len(values) == 1 && set(q, values[0]) }
}

// parseQuery returns the query of a request, or the problem with its first wrong
// parameter. It accepts only the parameters with these names. Without include, the query
// shows the payloads of show.
func parseQuery(raw string, names []string, show wire.Payloads) (processes.Query, error) {
	q := processes.Query{Limit: defaultLimit, After: processes.Newest, Show: show}
	values, err := url.ParseQuery(raw)
	if err != nil {
		return q, invalidInput.at(schema.Details{In: "query"})
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if !slices.Contains(names, name) {
			return q, unrecognizedInput.at(schema.Details{In: "query", At: strictjson.Key("", name)})
		}
		if p := parameters[name]; !p.set(&q, values[name]) {
			return q, invalidInput.at(schema.Details{In: "query", At: name, Expected: json.RawMessage(p.expected)})
		}
	}
	return q, nil
}
