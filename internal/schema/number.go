// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package schema

import (
	"math/big"
	"strconv"
	"strings"
)

// decimal is a decimal number of any size: 0.digits × 10^exp, negated if neg. A
// comparison costs no more than one of the digits, however large the exponent that
// a client wrote.
type decimal struct {
	neg    bool
	digits string // without leading or trailing zeros; "" is zero
	exp    int64
}

// maxExponent bounds exponents. Far below it, a float64 is zero.
const maxExponent = 1 << 40

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
	if err != nil || n > maxExponent || n < -maxExponent {
		if strings.HasPrefix(s, "-") {
			return -maxExponent
		}
		return maxExponent
	}
	return n
}

// decimalOf returns the number that the author of a schema wrote, not the binary
// fraction that is nearest to it: 0.1 is 0.1.
func decimalOf(f float64) decimal {
	return parseDecimal(strconv.FormatFloat(f, 'e', -1, 64))
}

func (d decimal) integer() bool {
	return d.exp >= int64(len(d.digits)) || d.digits == ""
}

// int64 returns the number as an int64, and whether it is one.
func (d decimal) int64() (int64, bool) {
	if d.digits == "" {
		return 0, true
	}
	if !d.integer() || d.exp > 19 {
		return 0, false
	}
	s := d.digits + strings.Repeat("0", int(d.exp)-len(d.digits))
	if d.neg {
		s = "-" + s
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil
}

// cmp returns a negative number if d < e, 0 if they are equal, and a positive one
// if d > e.
func (d decimal) cmp(e decimal) int {
	switch {
	case d.sign() != e.sign():
		return d.sign() - e.sign()
	case d.neg:
		return e.cmpSize(d)
	default:
		return d.cmpSize(e)
	}
}

func (d decimal) sign() int {
	switch {
	case d.digits == "":
		return 0
	case d.neg:
		return -1
	default:
		return 1
	}
}

func (d decimal) cmpSize(e decimal) int {
	switch {
	case d.exp < e.exp:
		return -1
	case d.exp > e.exp:
		return 1
	default:
		return strings.Compare(d.digits, e.digits)
	}
}

// multipleOf reports whether d is m times a whole number. m is not zero.
func (d decimal) multipleOf(m decimal) bool {
	if d.digits == "" {
		return true
	}
	// With d = x·10^a and m = y·10^b in whole numbers: 10^(a-b)·x mod y = 0.
	a, b := d.exp-int64(len(d.digits)), m.exp-int64(len(m.digits))
	x, _ := new(big.Int).SetString(d.digits, 10)
	y, _ := new(big.Int).SetString(m.digits, 10)
	shift := a - b
	if shift < 0 {
		return false // only an x that ends in a zero could be, and digits do not
	}
	power := new(big.Int).Exp(big.NewInt(10), big.NewInt(shift), y)
	return x.Mul(x, power).Mod(x, y).Sign() == 0
}

// String returns the same text for equal numbers.
func (d decimal) String() string {
	sign := ""
	if d.neg {
		sign = "-"
	}
	return sign + "0." + d.digits + "e" + strconv.FormatInt(d.exp, 10)
}
