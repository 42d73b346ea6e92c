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

// definition is the CustomResourceDefinition's schema, ready for use.
type definition struct {
	spine     *structural.Structural
	validator validation.SchemaValidator
	rules     *cel.Validator
}

// define reads the definition that this program carries.
var define = sync.OnceValues(func() (*definition, error) {
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
	spine, err := structural.NewStructural(&schema)
	if err != nil {
		return nil, fmt.Errorf("read the definition of ProcessType: %w", err)
	}
	validator, _, err := validation.NewSchemaValidator(&schema)
	if err != nil {
		return nil, fmt.Errorf("read the definition of ProcessType: %w", err)
	}
	return &definition{spine: spine, validator: validator, rules: cel.NewValidator(spine, true, celconfig.PerCallLimit)}, nil
})

// admit does what an API server does with an object that is created, with
// fieldValidation=Strict as kubectl asks: fields that do not exist, then
// defaults, then the schema, then its CEL rules.
func admit(document []byte) (map[string]any, Problems, error) {
	d, err := define()
	if err != nil {
		return nil, nil, err
	}
	var object map[string]any
	if err := utiljson.Unmarshal(document, &object); err != nil {
		return nil, nil, fmt.Errorf("read the object: %w", err)
	}
	var problems Problems
	delete(object, "status") // a create ignores it
	unknown := pruning.PruneWithOptions(object, d.spine, true, structural.UnknownFieldPathOptions{TrackUnknownFieldPaths: true})
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
	defaulting.Default(object, d.spine)
	meta.Namespace = cmp.Or(meta.Namespace, metav1.NamespaceDefault) // kubectl's flag or context fills it in
	errs := apivalidation.ValidateObjectMeta(meta, true, apivalidation.NameIsDNSSubdomain, field.NewPath("metadata"))
	errs = append(errs, validation.ValidateCustomResource(nil, object, d.validator)...)
	errs = append(errs, listtype.ValidateListSetsAndMaps(nil, d.spine, object)...)
	if len(errs) == 0 { // as in an API server, rules are about what is sound otherwise
		errs, _ = d.rules.Validate(context.Background(), nil, d.spine, object, nil, celconfig.RuntimeCELCostBudget)
	}
	for _, e := range errs {
		problems = append(problems, sentence(e))
	}
	return object, problems, nil
}

// sentence is an error with its place; the outermost level has none.
func sentence(e *field.Error) string {
	if e.Field == "" || e.Field == "<nil>" {
		return e.ErrorBody()
	}
	return e.Error()
}
