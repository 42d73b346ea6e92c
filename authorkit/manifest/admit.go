// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	structural "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/listtype"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/objectmeta"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	"k8s.io/apimachinery/pkg/util/validation/field"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"sigs.k8s.io/yaml"

	"procman.dev/procman/config/crd"
)

// definition is the schema of the CustomResourceDefinition, ready for validation.
type definition struct {
	schema *structural.Structural
	values validation.SchemaValidator
	rules  *cel.Validator
}

// loadDefinition reads the CustomResourceDefinition that is embedded in this program.
var loadDefinition = sync.OnceValues(func() (*definition, error) {
	var resource apiextensionsv1.CustomResourceDefinition
	if err := yaml.Unmarshal(crd.ProcessTypes, &resource); err != nil {
		return nil, fmt.Errorf("read the definition of ProcessType: %w", err)
	}
	var schema apiextensions.JSONSchemaProps
	err := apiextensionsv1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(
		resource.Spec.Versions[0].Schema.OpenAPIV3Schema, &schema, nil)
	if err != nil {
		return nil, fmt.Errorf("read the definition of ProcessType: %w", err)
	}
	structure, err := structural.NewStructural(&schema)
	if err != nil {
		return nil, fmt.Errorf("read the definition of ProcessType: %w", err)
	}
	values, _, err := validation.NewSchemaValidator(&schema)
	if err != nil {
		return nil, fmt.Errorf("read the definition of ProcessType: %w", err)
	}
	return &definition{schema: structure, values: values, rules: cel.NewValidator(structure, true, celconfig.PerCallLimit)}, nil
})

// admit validates a new object as an API server does for kubectl, which sets
// fieldValidation=Strict: first unknown fields, then defaults, then the schema, then
// the CEL rules. It returns the object with its defaults set.
func admit(document []byte) (map[string]any, Problems, error) {
	d, err := loadDefinition()
	if err != nil {
		return nil, nil, err
	}
	var object map[string]any
	if err := utiljson.Unmarshal(document, &object); err != nil {
		return nil, nil, fmt.Errorf("read the object: %w", err)
	}
	var problems Problems
	delete(object, "status") // ignored when an object is created
	unknown := pruning.PruneWithOptions(object, d.schema, true, structural.UnknownFieldPathOptions{TrackUnknownFieldPaths: true})
	meta, _, unknownMeta, err := objectmeta.GetObjectMetaWithOptions(object, objectmeta.ObjectMetaOptions{ReturnUnknownFieldPaths: true})
	if err != nil {
		return nil, nil, fmt.Errorf("read metadata: %w", err)
	}
	if meta == nil {
		meta = &metav1.ObjectMeta{}
	}
	unknown = append(unknown, unknownMeta...)
	slices.Sort(unknown)
	for _, path := range unknown {
		problems = append(problems, path+": there is no such field")
	}
	defaulting.Default(object, d.schema)
	meta.Namespace = cmp.Or(meta.Namespace, metav1.NamespaceDefault) // kubectl sets it from its flag or context
	errs := apivalidation.ValidateObjectMeta(meta, true, apivalidation.NameIsDNSSubdomain, field.NewPath("metadata"))
	errs = append(errs, validation.ValidateCustomResource(nil, object, d.values)...)
	errs = append(errs, listtype.ValidateListSetsAndMaps(nil, d.schema, object)...)
	if len(errs) == 0 { // as in an API server, rules apply only to a valid object
		errs, _ = d.rules.Validate(context.Background(), nil, d.schema, object, nil, celconfig.RuntimeCELCostBudget)
	}
	for _, e := range errs {
		problems = append(problems, message(e))
	}
	return object, problems, nil
}

// message returns the text of an error, with its path if it has one. An error about the
// whole object has none.
func message(e *field.Error) string {
	if e.Field == "" || e.Field == "<nil>" {
		return e.ErrorBody()
	}
	return e.Error()
}
