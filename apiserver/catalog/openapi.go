// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package catalog

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"
)

type object = map[string]any

// openAPIDocument is an OpenAPI document. The contract has no other members.
type openAPIDocument struct {
	OpenAPI    string            `json:"openapi"`
	Info       object            `json:"info"`
	Servers    []any             `json:"servers"`
	Security   []any             `json:"security"`
	Tags       []any             `json:"tags"`
	Paths      map[string]object `json:"paths"`
	Components map[string]object `json:"components"`
}

// The paths and the schemas of the contract that the OpenAPI document repeats for each
// type.
var (
	typePaths   = []string{"/v1/processes/{processType}", "/v1/processes/{processType}/{processId}"}
	typeSchemas = []string{"Input", "Output", "Submission", "Process", "Processing", "Complete", "Failed", "ListedProcess", "ProcessList"}
)

const schemaRef = "#/components/schemas/"

// openAPI returns the contract as JSON, with paths and schemas for each of the types
// and without the paths that are x-internal.
func openAPI(contract []byte, types []publishedType) ([]byte, error) {
	var d openAPIDocument
	if err := yaml.UnmarshalStrict(contract, &d); err != nil {
		return nil, fmt.Errorf("read the contract: %w", err)
	}
	maps.DeleteFunc(d.Paths, func(_ string, item object) bool { return item["x-internal"] == true })
	var tags []any
	for _, t := range types {
		d.add(t, d.prefix(t.Name))
		tags = append(tags, object{"name": t.Name, "description": t.describe()})
	}
	d.Tags = append(tags, d.Tags...) // most readers look for the types
	if len(types) > 0 {
		d.Components["parameters"]["processTypeParameter"].(object)["example"] = types[0].Name
		addExamples(d.Paths[typePaths[0]], types[0])
	}
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(d); err != nil {
		return nil, fmt.Errorf("write the OpenAPI document: %w", err)
	}
	return bytes.TrimSpace(b.Bytes()), nil
}

// prefix returns how the names of a type's schemas begin: its name in camel case, with a
// number if that is necessary to make them unique.
func (d *openAPIDocument) prefix(typeName string) string {
	schemas := d.Components["schemas"]
	camel := camelCase(typeName)
	if '0' <= camel[0] && camel[0] <= '9' { // many languages do not allow that at the start of a name
		camel = "Type" + camel
	}
	prefix := camel
	for n := 2; slices.ContainsFunc(typeSchemas, func(name string) bool { return taken(schemas, prefix+name) }); n++ {
		prefix = fmt.Sprint(camel, "_", n)
	}
	return prefix
}

// unusedName returns a name for a schema that begins with base.
func unusedName(schemas object, base string) string {
	name := base
	for n := 2; taken(schemas, name); n++ {
		name = fmt.Sprint(base, "_", n)
	}
	return name
}

// taken reports whether there is a schema whose name differs only in case.
func taken(schemas object, name string) bool {
	for existing := range schemas {
		if strings.EqualFold(existing, name) {
			return true
		}
	}
	return false
}

// camelCase returns a name without punctuation, with a capital at the start of each
// part.
func camelCase(name string) string {
	var b strings.Builder
	for part := range strings.FieldsFuncSeq(name, func(r rune) bool { return !isAlphanumeric(r) }) {
		b.WriteString(strings.ToUpper(part[:1]) + part[1:])
	}
	return b.String()
}

func isAlphanumeric(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
}

// add adds the paths and the schemas of a type.
func (d *openAPIDocument) add(t publishedType, prefix string) {
	schemas := d.Components["schemas"]
	own := map[string]string{}
	for _, name := range typeSchemas {
		own[schemaRef+name] = schemaRef + prefix + name
	}
	for _, name := range typeSchemas {
		schemas[prefix+name] = withReferences(schemas[name], own)
	}
	embed(schemas, prefix+"Input", t.input.value)
	embed(schemas, prefix+"Output", t.output.value)
	for _, path := range typePaths {
		item := withReferences(d.Paths[path], own).(object)
		item["parameters"] = item["parameters"].([]any)[1:] // without processType
		for _, member := range item {
			if operation, ok := member.(object); ok {
				operation["operationId"] = strings.Replace(operation["operationId"].(string), "Process", prefix+"Process", 1)
				operation["tags"] = []string{t.Name}
			}
		}
		addExamples(item, t)
		d.Paths[strings.Replace(path, "{processType}", t.Name, 1)] = item
	}
}

// addExamples adds the examples of a type's input to the POST of a path, if it has one.
func addExamples(item object, t publishedType) {
	post, ok := item["post"].(object)
	inputs, _ := t.input.value["examples"].([]any)
	if !ok || len(inputs) == 0 {
		return
	}
	examples := object{}
	for i, input := range inputs {
		examples[fmt.Sprint(i+1)] = object{"value": object{"input": input}}
	}
	post["requestBody"].(object)["content"].(object)["application/json"].(object)["examples"] = examples
}

// withReferences returns a copy of a part of the contract in which each text that is a
// key of references is replaced.
func withReferences(value any, references map[string]string) any {
	switch value := value.(type) {
	case object:
		result := object{}
		for key, member := range value {
			result[key] = withReferences(member, references)
		}
		return result
	case []any:
		result := make([]any, len(value))
		for i, element := range value {
			result[i] = withReferences(element, references)
		}
		return result
	case string:
		return cmp.Or(references[value], value)
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
