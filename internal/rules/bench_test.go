// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package rules_test

import (
	"fmt"
	"strings"
	"testing"

	"procman.dev/procman/internal/rules"
)

// BenchmarkBody checks the bodies of POSTs, as the facade does.
func BenchmarkBody(b *testing.B) {
	const pages = `{"type":"object","required":["source"],"properties":{
		"source":{"type":"object","required":["data"],"properties":{"data":{"type":"string","minLength":1}}},
		"language":{"type":"string","pattern":"^[a-z+]+$"},
		"pages":{"type":"array","items":{"type":"object","properties":{"dpi":{"type":"integer","minimum":1},"name":{"type":"string","maxLength":20}}}}}}`
	body := func(data string, n int) []byte {
		page := `{"dpi":300,"name":"page"}`
		return fmt.Appendf(nil, `{"input":{"source":{"data":"%s"},"language":"eng","pages":[%s]}}`, data, page+strings.Repeat(","+page, n-1))
	}
	for _, test := range []struct {
		name string
		body []byte
	}{
		{"small", body("aGVsbG8=", 2)},
		{"512KiB-text", body(strings.Repeat("aGVsbG8=", 64<<10), 2)},
		{"512KiB-elements", body("aGVsbG8=", 20_000)},
	} {
		for name, schema := range map[string]string{"schema": pages, "none": ""} {
			b.Run(test.name+"/"+name, func(b *testing.B) {
				r := rules.New(processType(schema, "", 1<<20))
				b.SetBytes(int64(len(test.body)))
				b.ReportAllocs()
				for b.Loop() {
					body, err := r.Parse(test.body)
					if err != nil {
						b.Fatal(err)
					}
					input, _ := body.Member("input")
					if err := r.CheckParsedInput(input); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
