// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// pdfSample returns a file of the pdftext worker's test data, in base64.
func pdfSample(t *testing.T, name string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("..", "..", "workers", "pdftext", "testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(content)
}

func TestPDFTextReadsPages(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ file, more, want string }{
		"a range of pages": {"report.pdf", `,"pages":{"first":2}`, `{"info":{"title":"Quarterly report","author":"Ada Lovelace","subject":"Engines",` +
			`"keywords":"analytical, difference","creator":"generate","producer":"by hand","created":"2024-02-29T13:37:00+02:00",` +
			`"modified":"2024-03-01T00:00:00Z","pageCount":3,"pdfVersion":"1.6","pageSize":{"width":595,"height":842},"encrypted":false},` +
			`"pages":[{"number":2,"text":""},{"number":3,"text":"Third page\nwith two lines"}]}`},
		"other scripts": {"scripts.pdf", "", `{"info":{"title":"Ελληνικά 漢字","pageCount":1,"pdfVersion":"1.6","pageSize":{"width":595,"height":842},` +
			`"encrypted":false},"pages":[{"number":1,"text":"Καλημέρα κόσμε\nПривет мир\n你好世界"}]}`},
		"a named encoding": {"japanese.pdf", "", `{"info":{"pageCount":1,"pdfVersion":"1.6","pageSize":{"width":595,"height":842},` +
			`"encrypted":false},"pages":[{"number":1,"text":"日本語の文書"}]}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := awaitComplete(t, "pdfText", post(t, "pdfText", `{"source":{"data":"`+pdfSample(t, test.file)+`"}`+test.more+`}`))
			got, want := any(nil), any(nil)
			if err := json.Unmarshal(a.Output, &got); err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal([]byte(test.want), &want); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
}

func TestPDFTextRefuses(t *testing.T) {
	t.Parallel()
	report := pdfSample(t, "report.pdf")
	for name, test := range map[string]struct{ input, code, want string }{
		"not a PDF":            {`{"source":{"data":"aGVsbG8="}}`, "InvalidInput", `{"in":"body","at":"input.source.data","expected":{"contentMediaType":"application/pdf"},"message":"the data is not a PDF file"}`},
		"a missing page":       {`{"source":{"data":"` + report + `"},"pages":{"last":4}}`, "InvalidInput", `{"in":"body","at":"input.pages.last","expected":{"maximum":3,"minimum":1,"type":"integer"},"message":"the document has 3 pages"}`},
		"a password":           {`{"source":{"data":"` + pdfSample(t, "password.pdf") + `"}}`, "PasswordRequired", `{"in":"body","at":"input.source.data","message":"the document needs a password: send it without one"}`},
		"a truncated document": {`{"source":{"data":"` + report[:1200] + `"}}`, "DocumentDamaged", `{"in":"body","at":"input.source.data","message":"the document cannot be read"}`},
		"a page that is lost":  {`{"source":{"data":"` + pdfSample(t, "kinds/page-2-flate-cut.pdf") + `"}}`, "DocumentDamaged", `{"in":"body","at":"input.source.data","message":"page 2 cannot be read"}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := awaitError(t, "pdftext", post(t, "pdftext", test.input), test.code)
			if got := string(a.ErrorDetails); got != test.want {
				t.Errorf("errorDetails are %s\nwant %s", got, test.want)
			}
		})
	}
}

// TestPDFTextRefusesABackwardRange: a CEL rule of the schema compares two properties, so
// POST refuses the input.
func TestPDFTextRefusesABackwardRange(t *testing.T) {
	t.Parallel()
	a := do(t, http.MethodPost, "/v1/processes/pdftext", []byte(`{"input":{"source":{"data":"aGk="},"pages":{"first":3,"last":2}}}`))
	want := `{"errorCode":"InvalidInput","errorDetails":{"in":"body","at":"input.pages","expected":{"rule":"!has(self.first) || !has(self.last) || self.first <= self.last","message":"first must not be after last"}}}`
	if a.status != 480 || string(a.body) != want {
		t.Errorf("status %d: %s\nwant 480: %s", a.status, a.body, want)
	}
}
