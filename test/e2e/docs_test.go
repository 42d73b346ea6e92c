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
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"procman.dev/procman/api/v1alpha1"
	"procman.dev/procman/test/docs"
)

// TestDocs runs the examples of the pages for clients and for authors of workers;
// those of the README in the directory that make run is called in. It is not parallel: what a page lists is
// what it has made. With -update, the pages are given what is printed here.
func TestDocs(t *testing.T) {
	settled(t)
	path := strings.Join([]string{kit(t), kubectl(t), os.Getenv("PATH")}, string(os.PathListSeparator))
	for _, page := range []string{"README.md", "docs/api.md", "docs/clients.md", "docs/adding-a-worker.md"} {
		dir := ""
		if page == "README.md" {
			dir = "../.."
		}
		t.Run(strings.TrimSuffix(filepath.Base(page), ".md"), func(t *testing.T) {
			dropMade(t)
			t.Cleanup(func() { dropMade(t) }) // of a page that was not run to its end
			docs.Run(t, filepath.Join("../..", page), docs.Setting{
				Env:  map[string]string{"PATH": path},
				Dir:  dir,
				Here: map[string]string{"127.0.0.1:3000": strings.TrimPrefix(baseURL, "http://")},
			})
		})
	}
}

// settled waits until no replica of the facade is about to stop, as one that
// another test has asked for is: it would answer early who waits.
func settled(t *testing.T) {
	t.Helper()
	facade := &appsv1.Deployment{}
	if err := kube.Get(t.Context(), client.ObjectKey{Namespace: systemNamespace, Name: "procman-apiserver"}, facade); err != nil {
		t.Fatal(err)
	}
	eventually(t, 2*time.Minute, "the facade has its replicas, and no others", func() bool {
		want := int(*facade.Spec.Replicas)
		return len(podsOf(t, facade.Name)) == want && len(readyPods(t, facade.Name)) == want
	})
	reached(t)
}

// kubectl is the directory of the local cluster's: what it prints differs from
// version to version.
func kubectl(t *testing.T) string {
	t.Helper()
	assets, err := exec.CommandContext(t.Context(), "../../bin/localcluster", "assets").Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(assets))
}

// kit is a directory with procman, the command line of authors.
func kit(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", dir, "../../cmd/procman").CombinedOutput(); err != nil {
		t.Fatalf("build procman: %v\n%s", err, out)
	}
	return dir
}

// dropMade makes sure that there is nothing of what the pages make and remove.
func dropMade(t *testing.T) {
	t.Helper()
	in := func(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Namespace: workNamespace, Name: name} }
	for _, made := range []client.Object{
		&v1alpha1.ProcessType{ObjectMeta: in("order")},
		&v1alpha1.ProcessType{ObjectMeta: in("digest")},
		&corev1.ConfigMap{ObjectMeta: in("digest-1")},
		&corev1.ConfigMap{ObjectMeta: in("digest-2")},
	} {
		if err := client.IgnoreNotFound(kube.Delete(context.Background(), made)); err != nil {
			t.Error(err)
		}
	}
}
