// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

// Package contract tests the HTTP contract. It has a black-box suite that runs against any
// base URL, and a Checker, which all tests of the facade use to check their responses
// against the OpenAPI description.
package contract

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/pb33f/libopenapi"
	validator "github.com/pb33f/libopenapi-validator"
	"github.com/pb33f/libopenapi-validator/config"
	validationerrors "github.com/pb33f/libopenapi-validator/errors"
	"github.com/pb33f/libopenapi-validator/paths"
	"github.com/pb33f/libopenapi-validator/schema_validation"
	v3 "github.com/pb33f/libopenapi/datamodel/high/v3"
	"sigs.k8s.io/yaml"
)

// Checker checks responses against an OpenAPI description.
type Checker struct {
	document  *v3.Document
	validator validator.Validator
	schemas   schema_validation.SchemaValidator
	options   *config.ValidationOptions
}

// NewChecker reads a description in YAML or JSON. It returns an error if the description
// is not valid OpenAPI 3.1.
func NewChecker(description []byte) (*Checker, error) {
	description, err := closed(description)
	if err != nil {
		return nil, fmt.Errorf("read the description: %w", err)
	}
	document, err := libopenapi.NewDocument(description)
	if err != nil {
		return nil, fmt.Errorf("read the description: %w", err)
	}
	model, err := document.BuildV3Model()
	if err != nil {
		return nil, fmt.Errorf("build the description's model: %w", err)
	}
	v, errs := validator.NewValidator(document)
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("make a validator: %w", err)
	}
	if ok, problems := v.ValidateDocument(); !ok {
		return nil, fmt.Errorf("the description is not valid: %w", joined(problems))
	}
	return &Checker{
		document: &model.Model, validator: v,
		schemas: schema_validation.NewSchemaValidator(), options: config.NewValidationOptions(),
	}, nil
}

// closed returns a description, as JSON, in which objects have only the members that are
// described. Clients must accept others, so that the description itself does not close
// them.
func closed(description []byte) ([]byte, error) {
	var root any
	if err := yaml.Unmarshal(description, &root); err != nil {
		return nil, err
	}
	closeObjects(root)
	return json.Marshal(root)
}

func closeObjects(value any) {
	switch value := value.(type) {
	case map[string]any:
		for _, member := range value {
			closeObjects(member)
		}
		_, isObject := value["properties"].(map[string]any)
		if _, decided := value["additionalProperties"]; isObject && !decided && value["type"] == "object" {
			value["additionalProperties"] = false
		}
	case []any:
		for _, element := range value {
			closeObjects(element)
		}
	}
}

// Check returns what is wrong with a response, whose body has been read already. A path
// that is not described must return the NotFoundResponse of the components. A method that
// a path does not have must return MethodNotAllowed with the methods that the path has.
// HEAD is GET without a body, and /v4 is /v1 with deprecation headers.
func (c *Checker) Check(request *http.Request, response *http.Response, body []byte) error {
	request = request.Clone(request.Context())
	if path := request.URL.Path; len(path) > 1 {
		request.URL.Path = strings.TrimSuffix(path, "/")
		request.URL.RawPath = strings.TrimSuffix(request.URL.RawPath, "/")
	}
	if rest, ok := strings.CutPrefix(request.URL.Path, "/v4/"); ok {
		if response.Header.Get("Deprecation") == "" || !strings.Contains(response.Header.Get("Link"), "successor-version") {
			return errors.New("a response under /v4 without Deprecation or Link")
		}
		request.URL.Path = "/v1/" + rest
		if raw, ok := strings.CutPrefix(request.URL.RawPath, "/v4/"); ok {
			request.URL.RawPath = "/v1/" + raw
		}
	}
	if !strings.Contains(strings.ToUpper(request.URL.RawPath), "%2F") {
		request.URL.RawPath = "" // a name is the same with and without escapes
	}
	item := c.item(request)
	if item == nil {
		return c.notFound(response, body)
	}
	if request.Method == http.MethodHead && item.Get != nil {
		return c.checkHead(item.Get, response, body)
	}
	if item.GetOperations().GetOrZero(strings.ToLower(request.Method)) == nil {
		if response.StatusCode != http.StatusMethodNotAllowed || response.Header.Get("Allow") == "" || string(body) != `{"errorCode":"MethodNotAllowed"}` {
			return fmt.Errorf("status %d, Allow %q, want MethodNotAllowed with the methods of the path", response.StatusCode, response.Header.Get("Allow"))
		}
		return nil
	}
	checked := *response
	checked.Body = io.NopCloser(bytes.NewReader(body))
	if _, problems := c.validator.ValidateHttpResponse(request, &checked); len(problems) > 0 {
		return joined(problems)
	}
	return nil
}

// item returns the path item of a request, for any method; nil if there is none.
func (c *Checker) item(request *http.Request) *v3.PathItem {
	for segment := range strings.SplitSeq(strings.TrimPrefix(request.URL.EscapedPath(), "/"), "/") {
		if segment == "" || strings.Contains(segment, "%2F") || segment == "." || segment == ".." {
			return nil
		}
	}
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		asked := request.Clone(request.Context())
		asked.Method = method
		if item, problems, _ := paths.FindPath(asked, c.document, c.options); item != nil && len(problems) == 0 {
			return item
		}
	}
	return nil
}

// checkHead checks a response to HEAD against the GET of the path.
func (c *Checker) checkHead(get *v3.Operation, response *http.Response, body []byte) error {
	if get.Responses.FindResponseByCode(response.StatusCode) == nil {
		return fmt.Errorf("HEAD has status %d, which GET does not have", response.StatusCode)
	}
	if len(body) > 0 {
		return fmt.Errorf("HEAD has a body: %s", body)
	}
	return nil
}

// notFound checks a response for a path that is not described.
func (c *Checker) notFound(response *http.Response, body []byte) error {
	if response.StatusCode != http.StatusNotFound {
		return fmt.Errorf("status %d, want 404: the path is not described", response.StatusCode)
	}
	if len(body) == 0 && response.Request != nil && response.Request.Method == http.MethodHead {
		return nil
	}
	if got := response.Header.Get("Content-Type"); got != "application/json" {
		return fmt.Errorf("Content-Type %q", got)
	}
	s := c.document.Components.Responses.GetOrZero("NotFoundResponse").Content.GetOrZero("application/json").Schema.Schema()
	if ok, problems := c.schemas.ValidateSchemaBytes(s, body); !ok {
		return fmt.Errorf("NotFoundResponse: %w", joined(problems))
	}
	return nil
}

func joined(problems []*validationerrors.ValidationError) error {
	errs := make([]error, len(problems))
	for i, p := range problems {
		reasons := []string{p.Message + ": " + p.Reason}
		for _, s := range p.SchemaValidationErrors {
			reasons = append(reasons, s.FieldPath+": "+s.Reason)
		}
		errs[i] = errors.New(strings.Join(reasons, "; "))
	}
	return errors.Join(errs...)
}
