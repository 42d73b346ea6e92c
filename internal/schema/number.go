// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package schema

import (
	"encoding/json"
	"strconv"
	"strings"
)

const (
	// maxDigits bounds the digits of a number in a schema, before and after the point.
	maxDigits = 320
	// maxExponent bounds exponents. Far below it, a float64 is zero.
	maxExponent = 1 << 40
	// maxInt64Digits are the digits of the largest int64.
	maxInt64Digits = 19
)

// decimal is a decimal number of any size: 0.digits × 10^exp, negated if neg.
type decimal struct {
	neg    bool
	digits string // without leading or trailing zeros; "" is zero
	exp    int64
}

// parseDecimal reads a JSON number.
func parseDecimal(s string) decimal {
	mantissa, exponent := s, ""
	if i := strings.IndexAny(s, "eE"); i >= 0 {
		mantissa, exponent = s[:i], s[i+1:]
	}
	mantissa, neg := strings.CutPrefix(mantissa, "-")
	whole, fraction, _ := strings.Cut(mantissa, ".")
	all := whole + fraction
	digits := strings.TrimLeft(all, "0")
	exp := int64(len(whole)) - int64(len(all)-len(digits)) + parseExponent(exponent)
	digits = strings.TrimRight(digits, "0")
	if digits == "" {
		return decimal{}
	}
	return decimal{neg: neg, digits: digits, exp: exp}
}

func parseExponent(s string) int64 {
	if s == "" {
		return 0
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		n = maxExponent
		if strings.HasPrefix(s, "-") {
			n = -maxExponent
		}
	}
	return min(max(n, -maxExponent), maxExponent)
}

func (d decimal) integer() bool { return d.exp >= int64(len(d.digits)) || d.digits == "" }

// whole returns an integer without an exponent. Its exp must be small.
func (d decimal) whole() string {
	s := d.digits + strings.Repeat("0", int(d.exp)-len(d.digits))
	if d.neg {
		return "-" + s
	}
	return "0" + s
}

// bounded returns the number that the library compares instead of a number in a value,
// because the library's time grows with the digits and with the exponent. For every
// number that a schema can have, the result of the comparison is the same.
//
// Values are below 10^309 (see strictjson), so a number with this many digits, or with
// such an exponent, has more digits after the point than any number in a schema. It is
// neither an integer nor a multiple of one, and no bound is between the two.
func bounded(s string) any {
	const enough = 2 * maxDigits
	if len(s) <= enough && !strings.ContainsAny(s, "eE") {
		return json.Number(s)
	}
	d := parseDecimal(s)
	if len(d.digits) > enough {
		d.digits = d.digits[:enough] + "1" // above those digits, and below the next ones
	}
	d.exp = max(d.exp, -maxDigits-1)
	sign := ""
	if d.neg {
		sign = "-"
	}
	return json.Number(sign + "0." + d.digits + "0e" + strconv.FormatInt(d.exp, 10))
}
