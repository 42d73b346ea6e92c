// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package envtest

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"

	"procman.dev/procman/test/docs"
)

// deployments renders a kustomization of a page of docs, next to config. It returns the
// Deployments by name, and the kinds of everything that runs pods.
func deployments(t *testing.T, page, name string) (byName map[string]*appsv1.Deployment, kinds []string) {
	t.Helper()
	files, err := docs.Files("../../docs/" + page)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	path := filepath.Join(dir, name)
	if err := errors.Join(
		os.CopyFS(filepath.Join(dir, "config"), os.DirFS("../../config")),
		os.Mkdir(filepath.Dir(path), 0o755),
		os.WriteFile(path, []byte(files[name]), 0o600),
	); err != nil {
		t.Fatal(err)
	}
	rendered, err := exec.CommandContext(t.Context(), filepath.Join(os.Getenv("KUBEBUILDER_ASSETS"), "kubectl"), "kustomize", filepath.Dir(path)).Output()
	if err != nil {
		t.Fatal(err)
	}
	byName = map[string]*appsv1.Deployment{}
	for documents := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(rendered))); ; {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return byName, kinds
		}
		d := &appsv1.Deployment{}
		if err := errors.Join(err, yaml.Unmarshal(document, d)); err != nil {
			t.Fatal(err)
		}
		switch d.Kind {
		case "Deployment":
			byName[d.Name] = d
			kinds = append(kinds, d.Kind)
		case "StatefulSet":
			kinds = append(kinds, d.Kind)
		}
	}
}

// The overlay of docs/installing.md mounts certificate authorities where the operator
// looks for them, and keeps the credentials of the store.
func TestOverlayWithCertificateAuthority(t *testing.T) {
	t.Parallel()
	byName, _ := deployments(t, "installing.md", "overlay/kustomization.yaml")
	const mountPath = "/etc/procman/ca"
	spec := byName["procman-operator"].Spec.Template.Spec
	want := corev1.PodSpec{
		Volumes: []corev1.Volume{{Name: "ca", VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: "procman-ca"}}}}},
		Containers: []corev1.Container{{
			Env:          []corev1.EnvVar{{Name: "SSL_CERT_DIR", Value: mountPath}},
			VolumeMounts: []corev1.VolumeMount{{Name: "ca", MountPath: mountPath, ReadOnly: true}},
		}},
	}
	var names []string
	var added []corev1.EnvVar
	for _, variable := range spec.Containers[0].Env {
		names = append(names, variable.Name)
		if variable.Name == "SSL_CERT_DIR" {
			added = append(added, variable)
		}
	}
	got := corev1.PodSpec{Volumes: spec.Volumes, Containers: []corev1.Container{{Env: added, VolumeMounts: spec.Containers[0].VolumeMounts}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for _, name := range []string{"GOMEMLIMIT", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"} {
		if !slices.Contains(names, name) {
			t.Errorf("the overlay removes %s", name)
		}
	}
}

// The kustomization of docs/store.md uses a bucket, and has no store of its own.
func TestBucketOfYourOwn(t *testing.T) {
	t.Parallel()
	byName, kinds := deployments(t, "store.md", "bucket/kustomization.yaml")
	if len(byName) != 2 || slices.Contains(kinds, "StatefulSet") {
		t.Fatalf("it has %v", kinds)
	}
	for name, d := range byName {
		container := d.Spec.Template.Spec.Containers[0]
		var stores []string
		for _, arg := range container.Args {
			if strings.HasPrefix(arg, "--store=") {
				stores = append(stores, arg)
			}
		}
		if diff := cmp.Diff([]string{"--store=s3://my-bucket?region=eu-central-1"}, stores); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if len(container.EnvFrom) != 1 || container.EnvFrom[0].SecretRef.Name != "my-bucket" {
			t.Errorf("%s: the credentials are %+v", name, container.EnvFrom)
		}
	}
}
