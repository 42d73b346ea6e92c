package strictjson_test

import (
	"encoding/json"
	"errors"
	"runtime"
	"strings"
	"testing"

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
		"byte order mark":         {data: "\ufeff{}", want: &strictjson.Error{Reason: "is not well-formed JSON"}},
		"cut off":                 {data: `{"input":{"a":[1,`, want: &strictjson.Error{At: "input.a[1]", Offset: 17, Reason: "ends too early"}},
		"cut off after a key":     {data: `{"input":`, want: &strictjson.Error{At: "input", Offset: 9, Reason: "ends too early"}},
		"trailing comma":          {data: `{"a":1,}`, want: &strictjson.Error{Offset: 6, Reason: "is not well-formed JSON"}},
		"bare word":               {data: `{"a":nope}`, want: &strictjson.Error{At: "a", Offset: 6, Reason: "is not well-formed JSON"}},
		"NaN":                     {data: `{"a":[1,NaN]}`, want: &strictjson.Error{At: "a[1]", Offset: 8, Reason: "is not well-formed JSON"}},
		"leading zero":            {data: `{"a":01}`, want: &strictjson.Error{At: "", Offset: 6, Reason: "is not well-formed JSON"}},
		"comment":                 {data: `{/**/}`, want: &strictjson.Error{Offset: 1, Reason: "is not well-formed JSON"}},
		"mismatched end":          {data: `{"a":[1}`, want: &strictjson.Error{At: "a[1]", Offset: 7, Reason: "is not well-formed JSON"}},
		"second object":           {data: `{} {}`, want: &strictjson.Error{Offset: 2, Reason: "has something after its end"}},
		"garbage after":           {data: `{}x`, want: &strictjson.Error{Offset: 2, Reason: "has something after its end"}},
		"garbage NUL after":       {data: "{}\x00", want: &strictjson.Error{Offset: 2, Reason: "has something after its end"}},
		"duplicate key":           {data: `{"a":1,"b":2,"a":3}`, want: &strictjson.Error{At: "a", Offset: 13, Reason: "is there twice"}},
		"duplicate nested":        {data: `{"input":{"pages":[{},{"dpi":1,"dpi":1}]}}`, want: &strictjson.Error{At: "input.pages[1].dpi", Offset: 31, Reason: "is there twice"}},
		"duplicate by escape":     {data: `{"a":1,"\u0061":2}`, want: &strictjson.Error{At: "a", Offset: 7, Reason: "is there twice"}},
		"duplicate odd key":       {data: `{"o k":{"a/~b":1,"a/~b":2}}`, want: &strictjson.Error{At: `["o k"]["a/~b"]`, Offset: 17, Reason: "is there twice"}},
		"65 deep":                 {data: nested(65), want: &strictjson.Error{At: path(65), Offset: 320, Reason: "is nested deeper than 64"}},
		"invalid UTF-8 in value":  {data: "{\"a\":\"\xff\"}", want: &strictjson.Error{At: "a", Offset: 6, Reason: "is not well-formed JSON"}},
		"invalid UTF-8 in key":    {data: "{\"\xff\":1}", want: &strictjson.Error{Offset: 2, Reason: "is not well-formed JSON"}},
		"half a surrogate pair":   {data: `{"a":"\ud800"}`, want: &strictjson.Error{At: "a", Offset: 6, Reason: "is not well-formed JSON"}},
		"control character":       {data: "{\"a\":\"\x01\"}", want: &strictjson.Error{At: "a", Offset: 6, Reason: "is not well-formed JSON"}},
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

// What a check allocates is a few times the document, however deep it is and
// however long its keys are: no path is made of what is sound.
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

func TestMembers(t *testing.T) {
	got, err := strictjson.Members([]byte(" { \"b\" : {\"z\":1.0, \"a\":[ ]} ,\n\"\\u0061\":12345678901234567890,\"c\":\"\\u00e9\" } "))
	if err != nil {
		t.Fatal(err)
	}
	want := []strictjson.Member{
		{Name: "b", Raw: []byte(`{"z":1.0, "a":[ ]}`)},
		{Name: "a", Raw: []byte(`12345678901234567890`)},
		{Name: "c", Raw: []byte(`"\u00e9"`)},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Members (-want +got):\n%s", diff)
	}
	for _, data := range []string{``, `[]`, `{"a"`, `{"a":`, `{"a":1`, `{"a":1,}`} {
		if _, err := strictjson.Members([]byte(data)); err == nil {
			t.Errorf("Members(%s) is no error", data)
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

// What CheckObject accepts, every lenient reader accepts; and Members slices it.
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
		members, err := strictjson.Members(data)
		if err != nil || len(members) != len(object) {
			t.Fatalf("%d members, %v; encoding/json has %d", len(members), err, len(object))
		}
	})
}
