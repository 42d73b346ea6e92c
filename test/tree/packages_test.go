// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package tree

import (
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

// untested are the packages that need no test of their own, with the reason.
var untested = map[string]string{
	"hack/localcluster/parts/coredns":    "is a list of plugins, which hack/localcluster tests",
	"hack/localcluster/parts/etcd":       "calls the stock main",
	"hack/localcluster/parts/kubernetes": "is a list of servers, which hack/localcluster tests",
	"workers/ocr/testdata/generate":      "made the test data, once",
	"workers/pdftext/testdata/generate":  "made the test data, once",
}

// withoutTest returns the directories that contain Go files but no test.
func withoutTest(files []file) []string {
	tested := map[string]bool{}
	for _, f := range files {
		if f.is(".go") {
			dir := path.Dir(f.name)
			tested[dir] = tested[dir] || strings.HasSuffix(f.name, "_test.go")
		}
	}
	maps.DeleteFunc(tested, func(_ string, yes bool) bool { return yes })
	return slices.Sorted(maps.Keys(tested))
}

func TestEveryPackageHasATest(t *testing.T) {
	t.Parallel()
	var findings []string
	found := withoutTest(read(t, repository()))
	for _, dir := range found {
		if untested[dir] == "" {
			findings = append(findings, dir+"/: the package has no test")
		}
	}
	report(t, findings)
	for dir := range untested {
		if !slices.Contains(found, dir) {
			t.Errorf("%s: the package has a test, or is gone; remove it from the list of those without", dir)
		}
	}
}

func TestWithoutTest(t *testing.T) {
	t.Parallel()
	var root fs.FS = fstest.MapFS{
		"a/a.go": {}, "a/a_test.go": {}, "b/b.go": {}, "b/c/c_test.go": {}, "d/d.md": {},
	}
	if diff := cmp.Diff([]string{"b"}, withoutTest(read(t, root))); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}
