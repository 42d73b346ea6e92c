// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

// Package manifest reads a ProcessType from a file and validates it as an API server
// does, with the same CustomResourceDefinition and the same libraries, but without a
// cluster.
package manifest

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"

	"procman.dev/procman/api/v1alpha1"
)

// kind is the kind of object that a file must contain exactly once.
const kind = "ProcessType"

// Problems lists everything that is wrong with a ProcessType. Each problem starts
// with its path, such as spec.limits.inputBytes.
type Problems []string

func (p Problems) Error() string {
	if len(p) == 1 {
		return p[0]
	}
	return fmt.Sprintf("%s (and %d more; procman worker check lists all)", p[0], len(p)-1)
}

// Load reads the ProcessType in a YAML or JSON file and sets the defaults of its
// fields. The file can contain objects of other kinds. Errors begin with the name of
// the file. If an API server would reject the ProcessType, the error is Problems.
func Load(name string) (*v1alpha1.ProcessType, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	document, err := find(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	t, err := parse(document)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return t, nil
}

// find returns the only ProcessType in a file, as JSON.
func find(text []byte) ([]byte, error) {
	var found [][]byte
	documents := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(text)))
	for n := 1; ; n++ {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("document %d: %w", n, err)
		}
		converted, err := yaml.YAMLToJSONStrict(document)
		if err != nil {
			return nil, fmt.Errorf("document %d: %w", n, err)
		}
		var object struct {
			APIVersion string `json:"apiVersion"`
			Kind       string `json:"kind"`
		}
		if bytes.Equal(converted, []byte("null")) {
			continue // the document contains only comments
		}
		if err := json.Unmarshal(converted, &object); err != nil {
			return nil, fmt.Errorf("document %d: expected a Kubernetes object: %w", n, err)
		}
		if object.Kind != kind {
			continue
		}
		if want := v1alpha1.GroupVersion.String(); object.APIVersion != want {
			return nil, fmt.Errorf("document %d: apiVersion is %q, expected %s", n, object.APIVersion, want)
		}
		found = append(found, converted)
	}
	if len(found) != 1 {
		return nil, fmt.Errorf("contains %d objects of kind %s, expected one", len(found), kind)
	}
	return found[0], nil
}

// parse validates a ProcessType and decodes it.
func parse(document []byte) (*v1alpha1.ProcessType, error) {
	object, problems, err := admit(document)
	if err != nil {
		return nil, err
	}
	if len(problems) > 0 {
		return nil, problems
	}
	text, err := json.Marshal(object)
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", kind, err)
	}
	t := &v1alpha1.ProcessType{}
	if err := json.Unmarshal(text, t); err != nil {
		return nil, fmt.Errorf("decode %s: %w", kind, err)
	}
	return t, nil
}
