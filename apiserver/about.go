package apiserver

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"

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
func processTypes(types []*processType) ([]byte, error) {
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
		input, err := pt.published(pt.Spec.InputSchema)
		if err != nil {
			return nil, err
		}
		output, err := pt.published(pt.Spec.OutputSchema)
		if err != nil {
			return nil, err
		}
		list.ProcessTypes = append(list.ProcessTypes, shown{
			Name: pt.Name, Aliases: pt.Spec.Aliases, Description: pt.Spec.Description,
			InputSchema: input, OutputSchema: output,
			Limits:          limits{pt.MaxInputBytes(), pt.MaxOutputBytes()},
			LifetimeSeconds: pt.lifetimeSeconds(),
		})
	}
	return json.Marshal(list)
}

// published is a schema of the type for clients.
func (t *processType) published(raw *apiextensionsv1.JSON) (json.RawMessage, error) {
	s, err := schema.Publish(raw)
	if err != nil {
		return nil, fmt.Errorf("publish a schema of type %s: %w", t.Name, err)
	}
	return s, nil
}
