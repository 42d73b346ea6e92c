// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package strictjson_test

import (
	"encoding/json"
	"errors"
	"runtime"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"

	"procman.dev/procman/internal/strictjson"
)

func TestCheckObject(t *testing.T) {
	nested := func(depth int) string {
		return strings.Repeat(`{"a":`, depth-1) + "{}" + strings.Repeat("}", depth-1)
	}
	path := func(depth int) string { return strings.TrimSuffix(strings.Repeat("a.", depth-1), ".") }
	tests := map[string]struct {
		data string
		want *strictjson.Error
	}{
		"empty object":            {data: `{}`},
		"white space around":      {data: " \r\n\t{ } \n"},
		"all kinds":               {data: `{"a":[1,-0,1.0,12345678901234567890,1e308,1e-999,"x\u00e9é😀",true,false,null,{}],"b":{"c":[]}}`},
		"same key elsewhere":      {data: `{"a":{"a":1},"b":{"a":1}}`},
		"64 deep":                 {data: nested(64)},
		"escaped backslash, u0":   {data: `{"a":"\\u0000"}`},
		"empty":                   {data: ``, want: &strictjson.Error{Reason: "is empty"}},
		"only white space":        {data: `  `, want: &strictjson.Error{Reason: "is empty"}},
		"array":                   {data: `[]`, want: &strictjson.Error{Reason: "must be a JSON object"}},
		"null":                    {data: `null`, want: &strictjson.Error{Reason: "must be a JSON object"}},
		"string":                  {data: `"{}"`, want: &strictjson.Error{Reason: "must be a JSON object"}},
		"byte order mark":         {data: "\ufeff{}", want: &strictjson.Error{Reason: "has a byte order mark"}},
		"cut off":                 {data: `{"input":{"a":[1,`, want: &strictjson.Error{At: "input.a[1]", Offset: 17, Reason: "ends too early"}},
		"cut off after a key":     {data: `{"input":`, want: &strictjson.Error{At: "input", Offset: 9, Reason: "ends too early"}},
		"trailing comma":          {data: `{"a":1,}`, want: &strictjson.Error{Offset: 6, Reason: "has a comma before a closing bracket"}},
		"bare word":               {data: `{"a":nope}`, want: &strictjson.Error{At: "a", Offset: 6, Reason: "is not well-formed JSON"}},
		"NaN":                     {data: `{"a":[1,NaN]}`, want: &strictjson.Error{At: "a[1]", Offset: 8, Reason: "has NaN, which JSON does not have"}},
		"leading zero":            {data: `{"a":01}`, want: &strictjson.Error{At: "", Offset: 6, Reason: "has a number that starts with 0"}},
		"comment":                 {data: `{/**/}`, want: &strictjson.Error{Offset: 1, Reason: "has a comment, which JSON does not have"}},
		"mismatched end":          {data: `{"a":[1}`, want: &strictjson.Error{At: "a[1]", Offset: 7, Reason: "is not well-formed JSON"}},
		"single quotes":           {data: `{'a':1}`, want: &strictjson.Error{At: "", Offset: 1, Reason: "has a single quote, expected a double quote"}},
		"key without quotes":      {data: `{a:1}`, want: &strictjson.Error{At: "", Offset: 1, Reason: "has a key without quotes"}},
		"Python's True":           {data: `{"a":True}`, want: &strictjson.Error{At: "a", Offset: 5, Reason: "has True, expected true"}},
		"Python's None":           {data: `{"a":None}`, want: &strictjson.Error{At: "a", Offset: 5, Reason: "has None, expected null"}},
		"unknown escape":          {data: `{"a":"\x41"}`, want: &strictjson.Error{At: "a", Offset: 6, Reason: "has an escape that JSON does not have"}},
		"plus sign":               {data: `{"a":+1}`, want: &strictjson.Error{At: "a", Offset: 5, Reason: "has a number with a plus sign, expected none"}},
		"raw tab":                 {data: "{\"a\":\"x\ty\"}", want: &strictjson.Error{At: "a", Offset: 7, Reason: "has a control character, expected an escape such as \\n"}},
		"infinity":                {data: `{"a":-Infinity}`, want: &strictjson.Error{At: "a", Offset: 6, Reason: "has Infinity, which JSON does not have"}},
		"UTF-16":                  {data: "\xff\xfe{\x00}\x00", want: &strictjson.Error{At: "", Offset: 0, Reason: "is UTF-16, expected UTF-8"}},
		"gzip":                    {data: "\x1f\x8b\b\x00", want: &strictjson.Error{At: "", Offset: 0, Reason: "is compressed with gzip, which needs the header Content-Encoding: gzip"}},
		"second object":           {data: `{} {}`, want: &strictjson.Error{Offset: 3, Reason: "has something after its end"}},
		"garbage after":           {data: `{}x`, want: &strictjson.Error{Offset: 2, Reason: "has something after its end"}},
		"garbage NUL after":       {data: "{}\x00", want: &strictjson.Error{Offset: 2, Reason: "has something after its end"}},
		"duplicate key":           {data: `{"a":1,"b":2,"a":3}`, want: &strictjson.Error{At: "a", Offset: 13, Reason: "is there twice"}},
		"duplicate nested":        {data: `{"input":{"pages":[{},{"dpi":1,"dpi":1}]}}`, want: &strictjson.Error{At: "input.pages[1].dpi", Offset: 31, Reason: "is there twice"}},
		"duplicate by escape":     {data: `{"a":1,"\u0061":2}`, want: &strictjson.Error{At: "a", Offset: 7, Reason: "is there twice"}},
		"duplicate odd key":       {data: `{"o k":{"a/~b":1,"a/~b":2}}`, want: &strictjson.Error{At: `["o k"]["a/~b"]`, Offset: 17, Reason: "is there twice"}},
		"65 deep":                 {data: nested(65), want: &strictjson.Error{At: path(65), Offset: 320, Reason: "is nested deeper than 64"}},
		"invalid UTF-8 in value":  {data: "{\"a\":\"\xff\"}", want: &strictjson.Error{At: "a", Offset: 6, Reason: "has a byte that is not UTF-8"}},
		"invalid UTF-8 in key":    {data: "{\"\xff\":1}", want: &strictjson.Error{Offset: 2, Reason: "has a byte that is not UTF-8"}},
		"half a surrogate pair":   {data: `{"a":"\ud800"}`, want: &strictjson.Error{At: "a", Offset: 6, Reason: "has half of a surrogate pair"}},
		"control character":       {data: "{\"a\":\"\x01\"}", want: &strictjson.Error{At: "a", Offset: 6, Reason: "has a control character, expected an escape such as \\n"}},
		"number out of range":     {data: `{"a":{"b":[0,1e999]}}`, want: &strictjson.Error{At: "a.b[1]", Offset: 13, Reason: "is a number out of range"}},
		"negative, out of range":  {data: `{"a":-1e999}`, want: &strictjson.Error{At: "a", Offset: 5, Reason: "is a number out of range"}},
		"NUL in a string":         {data: `{"a":"x\u0000"}`, want: &strictjson.Error{At: "a", Offset: 5, Reason: "holds the character U+0000"}},
		"NUL in a key":            {data: `{"a":{"\u0000":1}}`, want: &strictjson.Error{At: `a["\u0000"]`, Offset: 6, Reason: "holds the character U+0000"}},
		"error after a sibling":   {data: `{"a":[[1],[2]],"b":[{"c":1},"\u0000"]}`, want: &strictjson.Error{At: "b[1]", Offset: 28, Reason: "holds the character U+0000"}},
		"error after a container": {data: `{"a":{"b":{}},"c":1e999}`, want: &strictjson.Error{At: "c", Offset: 18, Reason: "is a number out of range"}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			err := strictjson.CheckObject([]byte(tc.data))
			got, _ := errors.AsType[*strictjson.Error](err)
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("CheckObject (-want +got):\n%s", diff)
			}
			if tc.want == nil && err != nil {
				t.Errorf("CheckObject = %v, want nil", err)
			}
		})
	}
}

// A check allocates a few times the size of the text, however deep it is and
// however long its keys are: no path is built for what is valid.
func TestCheckObjectAllocatesLittle(t *testing.T) {
	key := `{"` + strings.Repeat(`\u0001`, 128) + `":`
	begin, end := strings.Repeat(key, 60)+"["+strings.Repeat("{},[],1,", 20_000), "{}]"+strings.Repeat("}", 60)
	for name, test := range map[string]struct {
		data  string
		sound bool
	}{"sound": {begin + end, true}, "malformed at the end": {begin + end + "x", false}, "wrong deep inside": {begin + "1e999" + end, false}} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		err := strictjson.CheckObject([]byte(test.data))
		runtime.ReadMemStats(&after)
		if (err == nil) != test.sound {
			t.Errorf("%s: %v", name, err)
		}
		bytes := after.TotalAlloc - before.TotalAlloc
		if most := uint64(20 * len(test.data)); bytes > most {
			t.Errorf("%s: %d bytes are allocated for %d, want %d at most", name, bytes, len(test.data), most)
		}
	}
}

// tree returns what a value is made of: maps would lose the order of members.
func tree(v strictjson.Value) any {
	switch v.Kind() {
	case jsontext.KindBeginObject:
		members := []any{}
		for key, value := range v.Members() {
			members = append(members, key, tree(value))
		}
		return members
	case jsontext.KindBeginArray:
		elements := [][]any{}
		for element := range v.Elements() {
			elements = append(elements, []any{tree(element)})
		}
		return elements
	default:
		return v.Kind().String() + " " + v.Text()
	}
}

func TestParse(t *testing.T) {
	const data = " { \"b\" : {\"z\":1.0, \"a\":[ [],{} , true] } ,\n\"\\u0061\":-12345678901234567890,\"c\":\"\\u00e9\", \"d\":null } "
	root, err := strictjson.Parse([]byte(data))
	if err != nil {
		t.Fatal(err)
	}
	want := []any{
		"b", []any{"z", "number 1.0", "a", [][]any{{[][]any{}}, {[]any{}}, {"true true"}}},
		"a", "number -12345678901234567890",
		"c", "string é",
		"d", "null null",
	}
	if diff := cmp.Diff(want, tree(root)); diff != "" {
		t.Errorf("Parse (-want +got):\n%s", diff)
	}
	a, ok := root.Member("a")
	if _, other := root.Member("z"); !ok || string(a.Raw()) != "-12345678901234567890" || other {
		t.Errorf("Member(a) = %s, %t; Member(z) exists: %t", a.Raw(), ok, other)
	}
	b, _ := root.Member("b")
	array, _ := b.Member("a")
	if got := [3]int{root.Len(), array.Len(), a.Len()}; got != [3]int{4, 3, 0} {
		t.Errorf("lengths are %v, want 4, 3 and 0", got)
	}
}

func TestParseMembers(t *testing.T) {
	root, err := strictjson.ParseMembers([]byte(" { \"b\" : {\"z\":1.0, \"a\":[ ]} ,\n\"\\u0061\":[1],\"c\":\"\\u00e9\" } "))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for name, value := range root.Members() {
		got = append(got, name, string(value.Raw()))
	}
	want := []string{"b", `{"z":1.0, "a":[ ]}`, "a", "[1]", "c", `"\u00e9"`}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("ParseMembers (-want +got):\n%s", diff)
	}
	for _, data := range []string{``, `[]`, `{"a"`, `{"a":`, `{"a":1`, `{"a":1,}`, `{"a":{"b":1e999}}`} {
		if _, err := strictjson.ParseMembers([]byte(data)); err == nil {
			t.Errorf("ParseMembers(%s) returns no error", data)
		}
	}
}

func TestPath(t *testing.T) {
	long := strings.Repeat("é", 65)
	tests := map[string]struct{ got, want string }{
		"plain at the top":  {strictjson.Key("", "input"), "input"},
		"plain below":       {strictjson.Key("input", "pages_2"), "input.pages_2"},
		"index":             {strictjson.Index("input.pages", 1), "input.pages[1]"},
		"space":             {strictjson.Key("input", "odd key"), `input["odd key"]`},
		"dot":               {strictjson.Key("input", "a.b"), `input["a.b"]`},
		"digit first":       {strictjson.Key("input", "1a"), `input["1a"]`},
		"empty":             {strictjson.Key("input", ""), `input[""]`},
		"quote":             {strictjson.Key("input", `a"b`), `input["a\"b"]`},
		"not ASCII":         {strictjson.Key("input", "größe"), `input["größe"]`},
		"no UTF-8":          {strictjson.Key("input", "a\xff"), "input[\"a\ufffd\"]"},
		"no rune starts":    {strictjson.Key("input", strings.Repeat("\x80", 129)), `input["…"]`},
		"cut between runes": {strictjson.Key("", long), `["` + strings.Repeat("é", 64) + `…"]`},
	}
	for name, tc := range tests {
		if tc.got != tc.want {
			t.Errorf("%s: got %s, want %s", name, tc.got, tc.want)
		}
	}
}

// What CheckObject accepts, every lenient reader accepts and reads in the same way
// as Parse.
func FuzzCheckObject(f *testing.F) {
	for _, seed := range []string{`{}`, `{"input":{"a":[1,2.5e3,"x"]}}`, `{"a":1,"a":2}`, `{"a":"\u0000"}`, `[`, `{"a":1e999}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if err := strictjson.CheckObject(data); err != nil {
			if _, ok := errors.AsType[*strictjson.Error](err); !ok {
				t.Fatalf("an error of type %T", err)
			}
			return
		}
		var object map[string]any
		if err := json.Unmarshal(data, &object); err != nil {
			t.Fatalf("encoding/json refuses it: %v", err)
		}
		root, err := strictjson.Parse(data)
		if err != nil {
			t.Fatalf("Parse refuses it: %v", err)
		}
		if diff := cmp.Diff(any(object), plain(t, root)); diff != "" {
			t.Errorf("encoding/json and Parse (-want +got):\n%s", diff)
		}
		members, err := strictjson.ParseMembers(data)
		if err != nil || members.Len() != len(object) {
			t.Fatalf("%d members, %v; encoding/json has %d", members.Len(), err, len(object))
		}
	})
}

// plain is a value as encoding/json decodes it.
func plain(t *testing.T, v strictjson.Value) any {
	switch v.Kind() {
	case jsontext.KindBeginObject:
		members := map[string]any{}
		for key, value := range v.Members() {
			members[key] = plain(t, value)
		}
		return members
	case jsontext.KindBeginArray:
		elements := []any{}
		for element := range v.Elements() {
			elements = append(elements, plain(t, element))
		}
		return elements
	case jsontext.KindString:
		return v.Text()
	default:
		var scalar any
		if err := json.Unmarshal(v.Raw(), &scalar); err != nil {
			t.Fatal(err)
		}
		return scalar
	}
}
