// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

// Package jsoninput decodes the inputs of workers. In JSON Schema, 2, 2.0 and 2e0 are the same
// integer. Packages for JSON decode only the first one into an int.
package jsoninput

import (
	"fmt"
	"math"
	"strconv"

	"github.com/go-json-experiment/json"
)

// Unmarshal does the same as json.Unmarshal, but decodes every whole number from -2^53 to
// 2^53 into an int. Names are case-sensitive.
func Unmarshal(text []byte, into any) error {
	return json.Unmarshal(text, into, json.WithUnmarshalers(json.UnmarshalFunc(integer)))
}

// integer decodes a number. Above 2^53, a float64 cannot represent every whole number.
func integer(text []byte, n *int) error {
	f, err := strconv.ParseFloat(string(text), 64)
	if err != nil || f != math.Trunc(f) || math.Abs(f) > 1<<53 {
		return fmt.Errorf("%s is not a whole number from -2^53 to 2^53", text)
	}
	*n = int(f)
	return nil
}
