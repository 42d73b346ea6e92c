package strictjson

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/go-json-experiment/json/jsontext"
)

// Member is one member of a JSON object.
type Member struct {
	// Name is the key, unescaped.
	Name string
	// Raw is the value exactly as it was sent, without the white space around
	// it. It shares memory with the object that it was sliced from.
	Raw []byte
}

// Members returns the members of the outermost object of data in document
// order. Data must have passed CheckObject; otherwise it may return an error.
func Members(data []byte) ([]Member, error) {
	dec := jsontext.NewDecoder(bytes.NewBuffer(data))
	if begin, err := dec.ReadToken(); err != nil || begin.Kind() != '{' {
		return nil, errors.Join(errors.New("read the object's beginning"), err)
	}
	var members []Member
	for dec.PeekKind() == '"' {
		name, err := dec.ReadToken()
		if err != nil {
			return nil, fmt.Errorf("read a key: %w", err)
		}
		member := Member{Name: name.String()}
		raw, err := dec.ReadValue()
		if err != nil {
			return nil, fmt.Errorf("read a value: %w", err)
		}
		end := dec.InputOffset()
		member.Raw = data[end-int64(len(raw)) : end : end]
		members = append(members, member)
	}
	if _, err := dec.ReadToken(); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, fmt.Errorf("read the object's end: %w", err)
	}
	return members, nil
}
