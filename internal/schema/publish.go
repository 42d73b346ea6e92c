// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package schema

import (
	"encoding/json"
	"errors"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
)

// Publish returns a schema for clients, as its author wrote it. A nil schema accepts any
// object. The error is that raw is not a JSON object. Compile finds everything else that
// can be wrong with it.
func Publish(raw *apiextensionsv1.JSON) (json.RawMessage, error) {
	if raw == nil {
		return json.RawMessage(`{"additionalProperties":true,"type":"object"}`), nil
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(raw.Raw, &members); err != nil || members == nil {
		return nil, errors.New("the schema is not a JSON object")
	}
	return raw.Raw, nil
}
