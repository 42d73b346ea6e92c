// Package prose is about the texts in a status that people read.
package prose

import "strings"

// Cut is the beginning of a text, at most so many bytes of it, and no half a
// character.
func Cut(text string, most int) string {
	return strings.ToValidUTF8(text[:min(len(text), most)], "")
}
