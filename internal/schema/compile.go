package schema

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	structural "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Compile makes a Schema of the inputSchema or outputSchema of a process type.
// A nil s accepts any JSON object.
//
// What a CustomResourceDefinition's schema may say, this one may say, with
// these differences: the outermost type must be object; a property called
// metadata, kind or apiVersion is one like any other; additionalProperties:
// true allows values of any shape, and false is the rule anyway; uniqueItems is
// allowed; null in an enum is a value like any other, if nullable;
// x-kubernetes-embedded-resource is not allowed; keywords that do not exist are
// refused; and rules cannot use oldSelf, as there is no older value. As in a
// CustomResourceDefinition, unknown formats are ignored.
//
// The error is for the engineer who wrote the schema: every sentence begins
// with the place in the schema, such as properties.dpi.minimum.
func Compile(s *apiextensionsv1.JSON) (*Schema, error) {
	if s == nil {
		return &Schema{}, nil
	}
	if err := checkKeywords(s.Raw); err != nil {
		return nil, err
	}
	var props apiextensionsv1.JSONSchemaProps
	if err := json.Unmarshal(s.Raw, &props); err != nil {
		return nil, fmt.Errorf("read the schema: %w", err)
	}
	if props.Type != "object" {
		return nil, errors.New("type: must be object, because inputs and outputs are JSON objects")
	}
	spine, err := newStructural(&props)
	if err != nil {
		return nil, err
	}
	b := builder{}
	root := b.node(&props, spine, place{})
	if err := errors.Join(b.errs...); err != nil {
		return nil, err
	}
	return &Schema{root: root}, nil
}

// wrapper is the property under which a schema is checked: Kubernetes has rules
// for the outermost level that are about custom resources, not about inputs.
const wrapper = "wrapped"

// newStructural converts the schema and checks that it is structural.
func newStructural(props *apiextensionsv1.JSONSchemaProps) (*structural.Structural, error) {
	var internal apiextensions.JSONSchemaProps
	if err := apiextensionsv1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(props, &internal, nil); err != nil {
		return nil, fmt.Errorf("read the schema: %w", err)
	}
	spine, err := structural.NewStructural(&internal)
	if err != nil {
		return nil, err
	}
	outer := &structural.Structural{
		Generic:    structural.Generic{Type: "object"},
		Properties: map[string]structural.Structural{wrapper: *spine},
	}
	var errs []error
	for _, e := range structural.ValidateStructural(field.NewPath("schema"), outer) {
		e.Field = strings.TrimPrefix(strings.TrimPrefix(e.Field, "schema.properties["+wrapper+"]"), ".")
		errs = append(errs, e)
	}
	return spine, errors.Join(errs...)
}
