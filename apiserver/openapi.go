package apiserver

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Contract is the hand-written OpenAPI 3.1 description of the API, as YAML, with
// {processType} for the type.
//
//go:embed openapi.yaml
var Contract []byte

// The paths of the contract that each type gets for itself.
var typePaths = []string{"/v1/processes/{processType}", "/v1/processes/{processType}/{processId}"}

// typeSchemas are the schemas of the contract that each type gets for itself:
// Input and Output, and what holds one of them.
var typeSchemas = []string{"Input", "Output", "Submission", "AcceptedProcess", "Process", "ProcessList"}

const schemaRef = "#/components/schemas/"

// describe returns the contract as JSON, with a path for each of the types.
func describe(contract []byte, types []publishedType) ([]byte, error) {
	var document yaml.Node
	if err := yaml.Unmarshal(contract, &document); err != nil {
		return nil, fmt.Errorf("read the contract: %w", err)
	}
	root := resolved(document.Content[0])
	paths, schemas, tags := member(root, "paths"), member(member(root, "components"), "schemas"), member(root, "tags")
	templates := *paths
	general := tags.Content
	tags.Content = nil // those of the types come first: they are what most readers look for
	for _, pt := range types {
		own := map[string]string{}
		for _, name := range typeSchemas {
			own[schemaRef+name] = schemaRef + name + "." + pt.Name
		}
		for _, name := range typeSchemas {
			set(schemas, name+"."+pt.Name, pt.schemaNode(name, member(schemas, name), own))
		}
		for _, path := range typePaths {
			item := rewritten(member(&templates, path), own)
			specialize(item, pt.Name)
			set(paths, strings.Replace(path, "{processType}", pt.Name, 1), item)
		}
		tags.Content = append(tags.Content, mapping("name", text(pt.Name), "description", text(pt.describe())))
	}
	tags.Content = append(tags.Content, general...)
	var b bytes.Buffer
	if err := writeJSON(&b, root); err != nil {
		return nil, fmt.Errorf("write the description: %w", err)
	}
	return b.Bytes(), nil
}

// schemaNode is the type's own form of a schema of the contract. What the type
// itself brings has no references to rewrite, whatever its strings look like.
func (t publishedType) schemaNode(name string, template *yaml.Node, own map[string]string) *yaml.Node {
	switch name {
	case "Input":
		return verbatim(t.input)
	case "Output":
		return verbatim(t.output)
	default:
		return rewritten(template, own)
	}
}

// describe is the type in words.
func (t *processType) describe() string {
	words := t.Spec.Description
	if len(t.Spec.Aliases) > 0 {
		words = strings.TrimSpace(words + " Also called " + strings.Join(t.Spec.Aliases, ", ") + ".")
	}
	return words
}

// specialize makes the operations of a path those of one type.
func specialize(item *yaml.Node, typeName string) {
	parameters := member(item, "parameters")
	parameters.Content = parameters.Content[1:] // processType comes first
	for i := 1; i < len(item.Content); i += 2 {
		operation := item.Content[i]
		if id := member(operation, "operationId"); id != nil {
			id.Value += "_" + typeName
			member(operation, "tags").Content[0].Value = typeName
		}
	}
}

// resolved is a node without aliases: what an anchor stands for is in its place.
func resolved(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return resolved(n.Alias)
	}
	n.Anchor = ""
	for i, child := range n.Content {
		n.Content[i] = resolved(child)
	}
	return n
}

// rewritten is a copy of a node in which references are replaced.
func rewritten(n *yaml.Node, references map[string]string) *yaml.Node {
	c := *n
	c.Content = make([]*yaml.Node, len(n.Content))
	for i, child := range n.Content {
		c.Content[i] = rewritten(child, references)
		if to, ok := references[child.Value]; ok && i > 0 && n.Content[i-1].Value == "$ref" {
			c.Content[i].Value = to
		}
	}
	return &c
}

// member is the value of a mapping's key, nil when it has none.
func member(n *yaml.Node, key string) *yaml.Node {
	for i := 0; n.Kind == yaml.MappingNode && i < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}
	return nil
}

func set(n *yaml.Node, key string, value *yaml.Node) {
	n.Content = append(n.Content, text(key), value)
}

func text(s string) *yaml.Node { return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: s} }

// jsonTag marks a scalar that is JSON already.
const jsonTag = "!json"

// verbatim is a node for JSON that is written as it is. Not all JSON is YAML, to
// go-yaml: it has no DEL or U+0080 in its strings, and no key over 1024 characters.
func verbatim(raw json.RawMessage) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: jsonTag, Value: string(raw)}
}

// mapping is a mapping of strings.
func mapping(key string, value *yaml.Node, key2 string, value2 *yaml.Node) *yaml.Node {
	return &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Content: []*yaml.Node{text(key), value, text(key2), value2}}
}

// writeJSON writes a node as JSON, its keys in their order.
func writeJSON(b *bytes.Buffer, n *yaml.Node) error {
	list := func(open, end byte, step int, each func(i int) error) error {
		b.WriteByte(open)
		for i := 0; i < len(n.Content); i += step {
			if i > 0 {
				b.WriteByte(',')
			}
			if err := each(i); err != nil {
				return err
			}
		}
		b.WriteByte(end)
		return nil
	}
	switch n.Kind {
	case yaml.MappingNode:
		return list('{', '}', 2, func(i int) error {
			if err := writeScalar(b, n.Content[i].Value); err != nil {
				return err
			}
			b.WriteByte(':')
			return writeJSON(b, n.Content[i+1])
		})
	case yaml.SequenceNode:
		return list('[', ']', 1, func(i int) error { return writeJSON(b, n.Content[i]) })
	case yaml.ScalarNode:
		tag := n.ShortTag()
		if tag == jsonTag || (tag == "!!int" || tag == "!!float") && json.Valid([]byte(n.Value)) {
			b.WriteString(n.Value) // with all its digits
			return nil
		}
		var value any
		if err := n.Decode(&value); err != nil {
			return err
		}
		return writeScalar(b, value)
	default:
		return fmt.Errorf("line %d: neither a mapping nor a list nor a scalar", n.Line)
	}
}

func writeScalar(b *bytes.Buffer, value any) error {
	enc := json.NewEncoder(b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(value); err != nil {
		return err
	}
	b.Truncate(b.Len() - 1) // the line break
	return nil
}
