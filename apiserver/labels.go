// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/dunglas/httpsfv"

	"procman.dev/procman/internal/schema"
)

const (
	labelsHeader = "Process-Labels"
	// The bounds of the labels of a process, which are those of spec.labels.
	maxLabels          = 16
	maxLabelName       = 64  // characters
	maxLabelCharacters = 256 // of a value
)

// labelsExpected describes the header to clients.
const labelsExpected = `{"type":"object","maxProperties":16,"propertyNames":{"maxLength":64},"additionalProperties":{"type":"string","maxLength":256},` +
	`"description":"a dictionary of RFC 9651 with strings, tokens, numbers and booleans, such as invoice=17, user=\"a b\""}`

// labelsOf returns the labels in the header of a request, nil if there are none
// (docs/contract.md, section 4). A value that is not a string is kept as its text.
func labelsOf(h http.Header) (map[string]string, error) {
	refused := invalidInput.at(schema.Details{In: "header", At: labelsHeader, Expected: json.RawMessage(labelsExpected)})
	dictionary, err := httpsfv.UnmarshalDictionary(h.Values(labelsHeader))
	if err != nil || len(dictionary.Names()) > maxLabels {
		return nil, refused
	}
	var labels map[string]string
	for _, name := range dictionary.Names() {
		member, _ := dictionary.Get(name)
		value, ok := labelValue(member)
		if !ok || len(name) > maxLabelName {
			return nil, refused
		}
		if labels == nil {
			labels = map[string]string{}
		}
		labels[name] = value
	}
	return labels, nil
}

// labelValue returns the text of a member. ok is false for the members that cannot be a
// label: lists, byte sequences, dates, members with parameters and what is too long.
func labelValue(member httpsfv.Member) (text string, ok bool) {
	item, ok := member.(httpsfv.Item)
	if !ok || len(item.Params.Names()) > 0 {
		return "", false
	}
	switch value := item.Value.(type) {
	case string:
		text = value
	case httpsfv.Token:
		text = string(value)
	case httpsfv.DisplayString:
		text = string(value)
	case bool:
		text = strconv.FormatBool(value)
	case int64:
		text = strconv.FormatInt(value, 10)
	case float64:
		text = strconv.FormatFloat(value, 'f', -1, 64)
	default:
		return "", false
	}
	return text, utf8.RuneCountInString(text) <= maxLabelCharacters && !strings.ContainsFunc(text, unicode.IsControl)
}
