package strictjson

import (
	"errors"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// maxKeyBytes is how much of a key a path shows. With MaxDepth it keeps every
// path, and so every errorDetails, well below 64 KiB whatever a client sends.
const maxKeyBytes = 128

// Key returns the path of the member key of the object at path: path.key, or
// path["odd key"] when key is not a plain identifier (a letter or underscore,
// then letters, digits and underscores, all ASCII). Of a key longer than 128
// bytes the path shows the beginning, followed by "…", and of one that is no
// UTF-8, U+FFFD for what is not.
func Key(path, key string) string {
	if plain(key) {
		if path == "" {
			return key
		}
		return path + "." + key
	}
	quoted, _ := jsontext.AppendQuote(nil, cut(key)) // the error is of what is no UTF-8, and replaced
	return path + "[" + string(quoted) + "]"
}

// Index returns the path of element i, from 0, of the array at path: path[i].
func Index(path string, i int) string {
	return path + "[" + strconv.Itoa(i) + "]"
}

// Within returns the place that an error of this package is about, as seen from
// root, the path of the whole: root.pages[1].dpi. It is root itself for an error
// about the whole, and for one that is not of this package.
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
	for end > 0 && !utf8.RuneStart(key[end]) { // key may be no UTF-8
		end--
	}
	return key[:end] + "…"
}
