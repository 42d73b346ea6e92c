// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package schema

import (
	"math/big"
	"strconv"
	"testing"

	"pgregory.net/rapid"
)

// JSON numbers as clients may write them, small enough for big.Rat to check.
func numbers() *rapid.Generator[string] {
	return rapid.StringMatching(`-?(0|[1-9][0-9]{0,25})(\.[0-9]{1,12})?([eE][+-]?[0-9]{1,2})?`)
}

func rat(t *rapid.T, s string) *big.Rat {
	r, ok := new(big.Rat).SetString(s)
	if !ok {
		t.Fatalf("big.Rat does not read %s", s)
	}
	return r
}

func TestDecimalAgreesWithRationals(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := numbers().Draw(t, "a"), numbers().Draw(t, "b")
		x, y := parseDecimal(a), parseDecimal(b)
		ra, rb := rat(t, a), rat(t, b)
		if got, want := sign(x.cmp(y)), ra.Cmp(rb); got != want {
			t.Errorf("cmp(%s, %s) = %d, want %d", a, b, got, want)
		}
		if got, want := x.integer(), ra.IsInt(); got != want {
			t.Errorf("integer(%s) = %t, want %t", a, got, want)
		}
		if got, want := x.String() == y.String(), ra.Cmp(rb) == 0; got != want {
			t.Errorf("%s and %s have one canonical form: %t, want %t", a, b, got, want)
		}
		i, ok := x.int64()
		if fits := ra.IsInt() && ra.Num().IsInt64(); ok != fits || ok && i != ra.Num().Int64() {
			t.Errorf("int64(%s) = %d, %t", a, i, ok)
		}
		if rb.Sign() != 0 {
			if got, want := x.multipleOf(y), new(big.Rat).Quo(ra, rb).IsInt(); got != want {
				t.Errorf("multipleOf(%s, %s) = %t, want %t", a, b, got, want)
			}
		}
	})
}

func sign(n int) int { return min(max(n, -1), 1) }

func TestHugeExponentsCostNothing(t *testing.T) {
	for _, s := range []string{"1e-999999999999999999999", "0e999999999999999999999", "-1e-4611686018427387904"} {
		d := parseDecimal(s)
		if d.cmp(parseDecimal("1")) >= 0 || d.multipleOf(parseDecimal("7")) != (d.digits == "") {
			t.Errorf("%s is taken for %v", s, d)
		}
	}
}

func TestDecimalOfIsWhatTheAuthorWrote(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := rapid.Float64().Draw(t, "f")
		if got := decimalOf(f).String(); got != parseDecimal(strconv.FormatFloat(f, 'g', -1, 64)).String() {
			t.Errorf("decimalOf(%g) = %s", f, got)
		}
	})
}
