// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"procman.dev/procman/api/v1alpha1"
	"procman.dev/procman/test/docs"
)

// TestDocs runs the examples in the pages for clients and for authors of workers.
// README.md runs in the root of the repository, the others in an empty directory. With
// -update, it writes the output into the pages. It is not parallel, because the
// examples list only the processes of their own page.
func TestDocs(t *testing.T) {
	awaitStableFacade(t)
	path := strings.Join([]string{buildProcman(t), kubectlDirectory(t), os.Getenv("PATH")}, string(os.PathListSeparator))
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range []string{"README.md", "docs/api.md", "docs/clients.md", "docs/adding-a-worker.md"} {
		dir := ""
		if page == "README.md" {
			dir = "../.."
		}
		t.Run(strings.TrimSuffix(filepath.Base(page), ".md"), func(t *testing.T) {
			deleteExamples(t)
			t.Cleanup(func() { deleteExamples(t) }) // what a failed page left
			docs.Run(t, filepath.Join("../..", page), docs.Setting{
				Env:     map[string]string{"PATH": path, "PROCMAN": root, "CLUSTER": "test"},
				Dir:     dir,
				Replace: map[string]string{"127.0.0.1:3000": strings.TrimPrefix(baseURL, "http://")},
			})
		})
	}
}

// awaitStableFacade waits until no replica of the facade is stopping, because a
// stopping replica answers waiting requests early. An earlier test may have scaled
// the facade.
func awaitStableFacade(t *testing.T) {
	t.Helper()
	facade := &appsv1.Deployment{}
	if err := kube.Get(t.Context(), client.ObjectKey{Namespace: systemNamespace, Name: "procman-apiserver"}, facade); err != nil {
		t.Fatal(err)
	}
	eventually(t, 2*time.Minute, "the facade has exactly its replicas, all ready", func() bool {
		want := int(*facade.Spec.Replicas)
		return len(podsOf(t, facade.Name)) == want && len(readyPods(t, facade.Name)) == want
	})
	awaitReachableFacade(t)
}

// kubectlDirectory returns the directory of the local cluster's kubectl. Other versions
// print other columns.
func kubectlDirectory(t *testing.T) string {
	t.Helper()
	assets, err := exec.CommandContext(t.Context(), "../../bin/localcluster", "assets").Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(assets))
}

// buildProcman builds the command procman and returns its directory.
func buildProcman(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", dir, "../../cmd/procman").CombinedOutput(); err != nil {
		t.Fatalf("build procman: %v\n%s", err, out)
	}
	return dir
}

// deleteExamples deletes what the pages create, if it exists.
func deleteExamples(t *testing.T) {
	t.Helper()
	for _, object := range []client.Object{
		&v1alpha1.ProcessType{ObjectMeta: named("order")},
		&v1alpha1.ProcessType{ObjectMeta: named("digest")},
		&v1alpha1.ProcessType{ObjectMeta: named("wordcount")},
		&corev1.ConfigMap{ObjectMeta: named("digest-1")},
		&corev1.ConfigMap{ObjectMeta: named("digest-2")},
	} {
		if err := client.IgnoreNotFound(kube.Delete(context.Background(), object)); err != nil {
			t.Error(err)
		}
	}
}
