// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package schema

import (
	"encoding/json"
	"math/big"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func rational(t *rapid.T, s string) *big.Rat {
	r, ok := new(big.Rat).SetString(s)
	if !ok {
		t.Fatalf("big.Rat does not read %s", s)
	}
	return r
}

// The number that the library gets instead of another one compares with every number
// of a schema as that one does.
func TestBoundedNumbersCompareTheSame(t *testing.T) {
	values := rapid.OneOf(
		rapid.StringMatching(`-?(0|[1-9][0-9]{0,25})(\.[0-9]{1,12})?([eE][+-]?[0-9]{1,2})?`),
		rapid.StringMatching(`-?[1-9](\.[0-9]{700,900})(e[0-9]{1,2})?`),
		rapid.StringMatching(`-?(0|[1-9][0-9]{0,5})(\.[0-9]{0,5}[1-9])?e-[0-9]{3,4}`),
	)
	inSchemas := rapid.StringMatching(`-?(0|[1-9][0-9]{0,25})(\.[0-9]{1,12})?([eE][+-]?[0-9]{1,2})?|1e-320`)
	rapid.Check(t, func(t *rapid.T) {
		value, other := values.Draw(t, "value"), inSchemas.Draw(t, "other")
		if rapid.Bool().Draw(t, "equal up to the end") {
			other, _, _ = strings.Cut(value, "e")
			other = other[:min(len(other), 300)]
		}
		want, got, b := rational(t, value), rational(t, string(bounded(value).(json.Number))), rational(t, strings.TrimSuffix(other, "."))
		if got.Cmp(b) != want.Cmp(b) {
			t.Fatalf("%s is %d to %s, its replacement %d", value, want.Cmp(b), other, got.Cmp(b))
		}
		if got.IsInt() != want.IsInt() {
			t.Fatalf("%s is an integer: %t; its replacement: %t", value, want.IsInt(), got.IsInt())
		}
		if parseDecimal(value).integer() != want.IsInt() {
			t.Fatalf("integer(%s) = %t", value, !want.IsInt())
		}
		if b.Sign() != 0 && new(big.Rat).Quo(got, b).IsInt() != new(big.Rat).Quo(want, b).IsInt() {
			t.Fatalf("%s is a multiple of %s, and its replacement is not, or the other way round", value, other)
		}
		i, ok := kubernetesNumber(value).(int64)
		if fits := want.IsInt() && want.Num().IsInt64(); ok != fits || ok && i != want.Num().Int64() {
			t.Fatalf("kubernetesNumber(%s) = %d, %t", value, i, ok)
		}
	})
}

func TestHugeNumbersCostNothing(t *testing.T) {
	for _, s := range []string{"1e-999999999999999999999", "0e999999999999999999999", "-1e-4611686018427387904", "0." + strings.Repeat("0", 100_000) + "1", "1." + strings.Repeat("1", 100_000)} {
		if got := string(bounded(s).(json.Number)); len(got) > 3*maxDigits {
			t.Errorf("%.40s... is replaced with a number of %d characters", s, len(got))
		} else if r, ok := new(big.Rat).SetString(got); !ok || r.Denom().BitLen() > 5000 {
			t.Errorf("%.40s... is replaced with %s", s, got)
		}
	}
}
