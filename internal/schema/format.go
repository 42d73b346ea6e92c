// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package schema

import (
	"encoding/json"
	"fmt"
	"math"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"k8s.io/kube-openapi/pkg/validation/strfmt"
)

// formats are the formats that are checked. JSON Schema's own are documentation.
var formats = map[string]*jsonschema.Format{
	"byte": {Name: "byte", Validate: func(v any) error {
		if s, ok := v.(string); ok && !strfmt.Default.Validates("byte", s) {
			return fmt.Errorf("is not base64")
		}
		return nil
	}},
	"int32": {Name: "int32", Validate: integerBetween(math.MinInt32, math.MaxInt32)},
	"int64": {Name: "int64", Validate: integerBetween(math.MinInt64, math.MaxInt64)},
}

func integerBetween(least, most int64) func(any) error {
	return func(v any) error {
		n, ok := v.(json.Number)
		if !ok {
			return nil
		}
		if i, ok := kubernetesNumber(n.String()).(int64); !ok || i < least || i > most {
			return fmt.Errorf("is not an integer from %d to %d", least, most)
		}
		return nil
	}
}
