// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package jsoninput

import "testing"

func TestUnmarshal(t *testing.T) {
	type input struct {
		N    int     `json:"n"`
		Many []int   `json:"many"`
		F    float64 `json:"f"`
	}
	for text, want := range map[string]int{
		`2`: 2, `2.0`: 2, `2e0`: 2, `20e-1`: 2, `-0.0`: 0, `1E2`: 100, `-3.00`: -3, `9007199254740992`: 1 << 53,
	} {
		var in input
		if err := Unmarshal([]byte(`{"n":`+text+`,"many":[1,`+text+`],"f":2.5}`), &in); err != nil || in.N != want || in.Many[1] != want || in.F != 2.5 {
			t.Errorf("%s is read as %+v, %v", text, in, err)
		}
	}
	for _, text := range []string{`2.5`, `1e400`, `9007199254740994`, `"2"`, `true`, `[]`} {
		var in input
		if err := Unmarshal([]byte(`{"n":`+text+`}`), &in); err == nil {
			t.Errorf("%s is read as %d, want an error", text, in.N)
		}
	}
}
