// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

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

// Compile compiles the inputSchema or outputSchema of a process type. A nil s
// accepts any JSON object.
//
// The schema can use what a CustomResourceDefinition's schema can, with these
// differences:
//   - the outermost type must be object
//   - properties called metadata, kind or apiVersion are ordinary ones
//   - additionalProperties: true allows values of any shape; false is the default
//   - uniqueItems is allowed
//   - null in an enum is an ordinary value, if the schema is nullable
//   - x-kubernetes-embedded-resource is not allowed
//   - keywords that do not exist are an error
//   - rules cannot use oldSelf, because there is no older value
//
// As in a CustomResourceDefinition, unknown formats are ignored.
//
// The error is for the author of the schema: each sentence begins with the place
// in the schema, such as properties.dpi.minimum.
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

// wrapper is the property under which a schema is checked, because Kubernetes has
// rules for the outermost level that are only for custom resources.
const wrapper = "wrapped"

// newStructural returns the schema in structural form. The error says why it is
// not structural.
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
