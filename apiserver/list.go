// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/types"

	"procman.dev/procman/api/v1alpha1"
	"procman.dev/procman/apiserver/processes"
	"procman.dev/procman/internal/schema"
	"procman.dev/procman/internal/strictjson"
)

const (
	defaultLimit = 50
	maxLimit     = 500
)

// listProcesses serves GET and HEAD of /v1/processes/{type}.
func (s *Server) listProcesses(w http.ResponseWriter, r *request) error {
	t := s.catalog.Lookup(r.namespace, r.typeName)
	if t == nil {
		return resourceNotFound.problem()
	}
	query, err := parseQuery(r.URL.RawQuery)
	if err != nil {
		return err
	}
	page, release, err := s.processes.List(r.Context(), types.NamespacedName{Namespace: r.namespace, Name: t.Name}, query)
	if err != nil {
		return err
	}
	defer release()
	var body bytes.Buffer
	body.WriteString(`{"processes":[`)
	body.Write(bytes.Join(page.Items, []byte(",")))
	body.WriteByte(']')
	if page.More {
		body.WriteString(`,"continue":"` + page.Next.Token() + `"`)
	}
	body.WriteByte('}')
	reply(w, http.StatusOK, body.Bytes())
	return nil
}

// parseQuery returns the query of a list, or the problem with its first wrong parameter.
func parseQuery(raw string) (processes.Query, error) {
	q := processes.Query{Limit: defaultLimit, After: processes.Newest}
	values, err := url.ParseQuery(raw)
	if err != nil {
		return q, invalidInput.at(schema.Details{In: "query"})
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		p, ok := parameters[name]
		if !ok {
			return q, unrecognizedInput.at(schema.Details{In: "query", At: strictjson.Key("", name)})
		}
		if len(values[name]) > 1 || !p.set(&q, values[name][0]) {
			return q, invalidInput.at(schema.Details{In: "query", At: name, Expected: json.RawMessage(p.expected)})
		}
	}
	return q, nil
}

// parameter is a query parameter of a list.
type parameter struct {
	expected string // describes valid values to clients, as JSON
	set      func(*processes.Query, string) bool
}

var parameters = map[string]parameter{
	"state": {`{"enum":["processing","complete","error"]}`, func(q *processes.Query, value string) bool {
		q.State = v1alpha1.State(value)
		return q.State == v1alpha1.StateProcessing || q.State == v1alpha1.StateComplete || q.State == v1alpha1.StateError
	}},
	"limit": {`{"type":"integer","minimum":1,"maximum":` + strconv.Itoa(maxLimit) + `}`, func(q *processes.Query, value string) bool {
		n, err := strconv.ParseUint(value, 10, 16)
		q.Limit = int(n)
		return err == nil && 1 <= n && n <= maxLimit
	}},
	"continue": {`{"type":"string","description":"the continue of an earlier page"}`, func(q *processes.Query, value string) (ok bool) {
		q.After, ok = processes.ParsePosition(value)
		return ok
	}},
	"include": {`{"type":"array","items":{"enum":["input","output"]}}`, func(q *processes.Query, value string) bool {
		for name := range strings.SplitSeq(value, ",") {
			switch name {
			case "input":
				q.Show.Input = true
			case "output":
				q.Show.Output = true
			default:
				return false
			}
		}
		return true
	}},
}
