package apiserver

import (
	"encoding/json"
	"errors"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"procman.dev/procman/api/v1alpha1"
	"procman.dev/procman/apiserver/processes"
	"procman.dev/procman/internal/schema"
	"procman.dev/procman/internal/strictjson"
	"procman.dev/procman/internal/wire"
)

// createProcess serves POST of /v1/processes/{type}: it validates the input against the
// type, creates the Process, and answers when the Process is durable.
func (s *Server) createProcess(w http.ResponseWriter, r *request) error {
	t, inputSchema, err := s.catalog.Usable(r.namespace, r.typeName)
	if err != nil {
		return err
	}
	key, err := idempotencyKey(r.Header)
	if err != nil {
		return err
	}
	body, release, err := s.readBody(w, r.Request, t.MaxInputBytes())
	if err != nil {
		return err
	}
	defer release()
	input, refusal := inputOf(body, t.MaxInputBytes(), inputSchema)
	sub := processes.Submission{Type: t.ProcessType, Input: input, IdempotencyKey: key}
	var created *v1alpha1.Process
	switch {
	case refusal == nil:
		created, err = s.processes.Create(r.Context(), sub)
	case input == nil:
		return refusal
	default:
		// The type can have accepted this input before it was changed.
		if created, err = s.processes.Existing(r.Context(), sub); errors.Is(err, processes.ErrNotFound) {
			return refusal
		}
	}
	if err != nil {
		return err
	}
	w.Header().Set("Content-Location", "/v1/processes/"+t.Name+"/"+created.Name)
	reply(w, http.StatusOK, wire.Accepted(created, input))
	return nil
}

// inputOf returns the input in a request's body, byte for byte as it was sent, and the
// problem with it. It also returns an input that only the type refuses.
func inputOf(body []byte, maxInputBytes int, s *schema.Schema) (input []byte, refusal error) {
	if err := strictjson.CheckObject(body); err != nil {
		details := schema.Details{In: "body"}
		if e, ok := errors.AsType[*strictjson.Error](err); ok {
			details.At = e.At
		}
		return nil, invalidInput.at(details)
	}
	members, err := strictjson.Members(body)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(members, func(m strictjson.Member) bool { return m.Name == "input" })
	if i < 0 {
		return nil, missingInput.at(schema.Details{In: "body", At: "input"})
	}
	// Problems count in the order of the document.
	for _, m := range members {
		if m.Name != "input" {
			return nil, unrecognizedInput.at(schema.Details{In: "body", At: strictjson.Key("", m.Name)})
		}
		input = m.Raw
		if len(input) > maxInputBytes {
			return input, tooLarge("input", maxInputBytes)
		}
		if !storable(input) {
			return input, notStorable()
		}
		if violation := s.Validate("input", input); violation != nil {
			return input, violated(violation)
		}
	}
	return input, nil
}

// maxStoredInputBytes bounds an input in the form in which it is stored. etcd takes 1.5
// MiB by default; this leaves room for an output and the rest of a Process.
const maxStoredInputBytes = 5 << 18

// storable reports whether the cluster can store an input. It is stored as a JSON string,
// in which a quote takes two bytes and a "<" six.
func storable(input []byte) bool {
	const longestEscape = 6
	if len(input) <= maxStoredInputBytes/longestEscape {
		return true
	}
	stored, err := json.Marshal(string(input))
	return err == nil && len(stored) <= maxStoredInputBytes
}

// notStorable is the problem of an input that is within the limit of its type but not
// storable.
func notStorable() *problem {
	p := tooLarge("input", maxStoredInputBytes)
	p.details.Message = "this is the limit of the input as it is stored, with an escape for each quote, backslash, <, > and &"
	return p
}

const keyHeader = "Idempotency-Key"

// keyPattern matches an idempotency key: 1 to 255 printable ASCII characters.
// keyExpected describes it to clients.
var keyPattern = regexp.MustCompile(`^[ -~]{1,255}$`)

const keyExpected = `{"type":"string","minLength":1,"maxLength":255,"pattern":"^[ -~]+$"}`

// idempotencyKey returns the key of a request, "" if it has none. The header is a string
// of RFC 9651, as in the draft of the IETF, or the bare key.
func idempotencyKey(h http.Header) (string, error) {
	values := h.Values(keyHeader)
	if len(values) == 0 {
		return "", nil
	}
	key, ok := strings.TrimSpace(values[0]), len(values) == 1
	if strings.HasPrefix(key, `"`) {
		key, ok = unquote(key)
	}
	if !ok || !keyPattern.MatchString(key) {
		return "", invalidInput.at(schema.Details{In: "header", At: keyHeader, Expected: json.RawMessage(keyExpected)})
	}
	return key, nil
}

// unquote returns the content of a string of RFC 9651, section 3.3.3.
func unquote(s string) (string, bool) {
	var content strings.Builder
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '"':
			return content.String(), i == len(s)-1
		case '\\':
			if i++; i == len(s) || s[i] != '"' && s[i] != '\\' {
				return "", false
			}
		}
		content.WriteByte(s[i])
	}
	return "", false
}
