package apiserver

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"

	"procman.dev/procman/internal/schema"
)

// document is a body that stays the same for as long as the types do.
type document struct {
	body []byte
	etag string
}

// newDocument is the document of a body; it hands on err.
func newDocument(body []byte, err error) (document, error) {
	if err != nil {
		return document{}, err
	}
	sum := sha256.Sum256(body)
	return document{body: body, etag: `"` + hex.EncodeToString(sum[:8]) + `"`}, nil
}

// getDocument serves GET and HEAD of a document of the types.
func (s *Server) getDocument(of func(*typeIndex) (document, error)) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		d, err := of(s.types.index.Load())
		if err != nil {
			return internal(err)
		}
		w.Header().Set("ETag", d.etag)
		if unchanged(r.Header, d.etag) {
			return replyWithoutBody(w, http.StatusNotModified)
		}
		return reply(w, http.StatusOK, d.body)
	}
}

// processTypes is the body of GET /v1/processTypes.
func processTypes(types []publishedType) ([]byte, error) {
	type limits struct {
		InputBytes  int `json:"inputBytes"`
		OutputBytes int `json:"outputBytes"`
	}
	type shown struct {
		Name            string          `json:"name"`
		Aliases         []string        `json:"aliases,omitempty"`
		Description     string          `json:"description,omitempty"`
		InputSchema     json.RawMessage `json:"inputSchema"`
		OutputSchema    json.RawMessage `json:"outputSchema"`
		Limits          limits          `json:"limits"`
		LifetimeSeconds int32           `json:"lifetimeSeconds"`
	}
	list := struct {
		ProcessTypes []shown `json:"processTypes"`
	}{[]shown{}}
	for _, pt := range types {
		list.ProcessTypes = append(list.ProcessTypes, shown{
			Name: pt.Name, Aliases: pt.Spec.Aliases, Description: pt.Spec.Description,
			InputSchema: pt.input, OutputSchema: pt.output,
			Limits:          limits{pt.MaxInputBytes(), pt.MaxOutputBytes()},
			LifetimeSeconds: pt.lifetimeSeconds(),
		})
	}
	return json.Marshal(list)
}

// publishedType is a type with its schemas as clients get to see them.
type publishedType struct {
	*processType
	input, output json.RawMessage
}

// published leaves out a type with a schema that is no JSON object: it must not
// take the documents from the others, and the operator is about to say so, too.
func published(types []*processType) []publishedType {
	var all []publishedType
	for _, pt := range types {
		input, err := schema.Publish(pt.Spec.InputSchema)
		if err != nil {
			continue
		}
		output, err := schema.Publish(pt.Spec.OutputSchema)
		if err != nil {
			continue
		}
		all = append(all, publishedType{pt, input, output})
	}
	return all
}
