// Package manifest reads a ProcessType from a file and says what an API server
// would say of it: by the same CustomResourceDefinition, with the same
// libraries, and without a cluster.
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

// kind is what a file has to hold exactly one of.
const kind = "ProcessType"

// Problems is everything that is wrong with a ProcessType, each problem with its
// place, such as spec.limits.inputBytes.
type Problems []string

func (p Problems) Error() string {
	if len(p) == 1 {
		return p[0]
	}
	return fmt.Sprintf("%s (and %d more: procman worker check names all)", p[0], len(p)-1)
}

// Load reads the one ProcessType of a YAML or JSON file, which may hold other
// objects beside it, and fills in the defaults of its fields. Errors begin with the file's
// name. Of a ProcessType that an API server would refuse, the error is Problems.
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

// find returns the document, as JSON, that is a ProcessType.
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
			continue // nothing but comments
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
		return nil, fmt.Errorf("holds %d objects of kind %s, expected one", len(found), kind)
	}
	return found[0], nil
}

// parse holds a ProcessType against its definition and decodes it.
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
