// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package strictjson

import (
	"errors"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// maxKeyBytes bounds how much of a key a path shows. Together with MaxDepth it keeps
// each path, and so all errorDetails, well below 64 KiB whatever a client sends.
const maxKeyBytes = 128

// Key returns the path of the member called key of the object at path: path.key, or
// path["odd key"] if key is not a plain identifier (a letter or underscore, then
// letters, digits and underscores, all ASCII). A key longer than 128 bytes is cut
// there and ends with "…". U+FFFD replaces bytes that are not UTF-8.
func Key(path, key string) string {
	if plain(key) {
		if path == "" {
			return key
		}
		return path + "." + key
	}
	quoted, _ := jsontext.AppendQuote(nil, cut(key)) // the error reports the bytes that were replaced
	return path + "[" + string(quoted) + "]"
}

// Index returns the path of element i, from 0, of the array at path: path[i].
func Index(path string, i int) string {
	return path + "[" + strconv.Itoa(i) + "]"
}

// Within returns the place of an Error as a path that begins with root, the name of
// the outermost object: root.pages[1].dpi. It returns root for an error about the
// outermost object and for any other error.
func Within(root string, err error) string {
	e, ok := errors.AsType[*Error](err)
	switch {
	case !ok || e.At == "":
		return root
	case strings.HasPrefix(e.At, "["):
		return root + e.At
	default:
		return root + "." + e.At
	}
}

func plain(key string) bool {
	if key == "" || len(key) > maxKeyBytes {
		return false
	}
	for i := range len(key) {
		switch b := key[i]; {
		case b == '_', 'a' <= b && b <= 'z', 'A' <= b && b <= 'Z':
		case '0' <= b && b <= '9' && i > 0:
		default:
			return false
		}
	}
	return true
}

func cut(key string) string {
	if len(key) <= maxKeyBytes {
		return key
	}
	end := maxKeyBytes
	for end > 0 && !utf8.RuneStart(key[end]) { // key need not be UTF-8
		end--
	}
	return key[:end] + "…"
}
