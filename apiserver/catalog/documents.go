// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package catalog

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"

	"sigs.k8s.io/yaml"

	"procman.dev/procman/api/v1alpha1"
	"procman.dev/procman/internal/schema"
)

// Document is a JSON document about the types.
type Document struct {
	Body []byte
	ETag string
}

// newDocument returns the document with a body, or err.
func newDocument(body []byte, err error) (Document, error) {
	if err != nil {
		return Document{}, err
	}
	sum := sha256.Sum256(body)
	return Document{Body: body, ETag: `"` + hex.EncodeToString(sum[:8]) + `"`}, nil
}

// publishedType is a type with its schemas in the form that clients get.
type publishedType struct {
	*Type
	input, output json.RawMessage
}

// published leaves out a type whose schema is not a JSON object, so that one wrong type
// does not hide the others. The operator will report it.
func published(types []*Type) []publishedType {
	var all []publishedType
	for _, t := range types {
		input, err := schema.Publish(t.Spec.InputSchema)
		if err != nil {
			continue
		}
		output, err := schema.Publish(t.Spec.OutputSchema)
		if err != nil {
			continue
		}
		all = append(all, publishedType{t, input, output})
	}
	return all
}

// processTypes returns the body of GET /v1/processTypes.
func processTypes(types []publishedType) ([]byte, error) {
	type limits struct {
		InputBytes  int `json:"inputBytes"`
		OutputBytes int `json:"outputBytes"`
	}
	type processType struct {
		Name            string          `json:"name"`
		Aliases         []string        `json:"aliases,omitempty"`
		Description     string          `json:"description,omitempty"`
		InputSchema     json.RawMessage `json:"inputSchema"`
		OutputSchema    json.RawMessage `json:"outputSchema"`
		Limits          limits          `json:"limits"`
		LifetimeSeconds int32           `json:"lifetimeSeconds"`
	}
	list := struct {
		ProcessTypes []processType `json:"processTypes"`
	}{[]processType{}}
	for _, t := range types {
		list.ProcessTypes = append(list.ProcessTypes, processType{
			Name: t.Name, Aliases: t.Spec.Aliases, Description: t.Spec.Description,
			InputSchema: t.input, OutputSchema: t.output,
			Limits:          limits{t.MaxInputBytes(), t.MaxOutputBytes()},
			LifetimeSeconds: cmp.Or(t.Spec.LifetimeSeconds, v1alpha1.DefaultLifetimeSeconds),
		})
	}
	return json.Marshal(list)
}

type object = map[string]any

// The paths and the schemas of the contract that the OpenAPI document repeats for each
// type.
var (
	typePaths   = []string{"/v1/processes/{processType}", "/v1/processes/{processType}/{processId}"}
	typeSchemas = []string{"Input", "Output", "Submission", "AcceptedProcess", "Process", "ProcessList"}
)

const schemaRef = "#/components/schemas/"

// openAPI returns the contract as JSON, with paths and schemas for each of the types.
func openAPI(contract []byte, types []publishedType) ([]byte, error) {
	var root struct {
		OpenAPI    string            `json:"openapi"`
		Info       object            `json:"info"`
		Servers    []any             `json:"servers"`
		Tags       []any             `json:"tags"`
		Paths      map[string]object `json:"paths"`
		Components map[string]object `json:"components"`
	}
	if err := yaml.UnmarshalStrict(contract, &root); err != nil {
		return nil, fmt.Errorf("read the contract: %w", err)
	}
	schemas := root.Components["schemas"]
	var tags []any
	for _, t := range types {
		own := map[string]string{}
		for _, name := range typeSchemas {
			own[schemaRef+name] = schemaRef + name + "." + t.Name
		}
		for _, name := range typeSchemas {
			schemas[name+"."+t.Name] = withReferences(schemas[name], own)
		}
		schemas["Input."+t.Name], schemas["Output."+t.Name] = t.input, t.output
		for _, path := range typePaths {
			item := withReferences(root.Paths[path], own).(object)
			item["parameters"] = item["parameters"].([]any)[1:] // without processType
			for _, member := range item {
				if operation, ok := member.(object); ok {
					operation["operationId"] = fmt.Sprintf("%s_%s", operation["operationId"], t.Name)
					operation["tags"] = []string{t.Name}
				}
			}
			root.Paths[strings.Replace(path, "{processType}", t.Name, 1)] = item
		}
		tags = append(tags, object{"name": t.Name, "description": t.describe()})
	}
	root.Tags = append(tags, root.Tags...) // most readers look for the types
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(root); err != nil {
		return nil, fmt.Errorf("write the OpenAPI document: %w", err)
	}
	return bytes.TrimSpace(b.Bytes()), nil
}

// withReferences returns a copy of a JSON value in which each $ref that is a key of
// references is replaced.
func withReferences(value any, references map[string]string) any {
	switch value := value.(type) {
	case object:
		result := object{}
		for key, member := range value {
			result[key] = withReferences(member, references)
			if ref, ok := member.(string); ok && key == "$ref" && references[ref] != "" {
				result[key] = references[ref]
			}
		}
		return result
	case []any:
		result := make([]any, len(value))
		for i, element := range value {
			result[i] = withReferences(element, references)
		}
		return result
	default:
		return value
	}
}

// describe returns the description of the type and its aliases.
func (t *Type) describe() string {
	if len(t.Spec.Aliases) == 0 {
		return t.Spec.Description
	}
	return strings.TrimSpace(t.Spec.Description + " Also called " + strings.Join(t.Spec.Aliases, ", ") + ".")
}
