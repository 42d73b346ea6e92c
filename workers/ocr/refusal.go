package main

import (
	"encoding/json"
	"fmt"
	"os"
)

// refusal is an input that was accepted by its schema and turns out to be wrong.
// It becomes the process's error and is not tried again.
type refusal struct {
	// at is the place in the input, such as input.fields[0].area.
	at string
	// expected says what is wanted there.
	expected any
	// message says what is wrong.
	message string
}

func (r *refusal) Error() string { return r.at + ": " + r.message }

// write leaves the refusal in the error file.
func (r *refusal) write(path string) error {
	type details struct {
		In       string `json:"in"`
		At       string `json:"at"`
		Expected any    `json:"expected,omitempty"`
		Message  string `json:"message"`
	}
	text, err := json.Marshal(struct {
		ErrorCode    string  `json:"errorCode"`
		ErrorDetails details `json:"errorDetails"`
	}{"InvalidInput", details{"body", r.at, r.expected, r.message}})
	if err != nil {
		return fmt.Errorf("encode refusal: %w", err)
	}
	return os.WriteFile(path, text, 0o600)
}
