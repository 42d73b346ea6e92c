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
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"

	"procman.dev/procman/test/docs"
)

// The overlay of docs/installing.md mounts certificate authorities where the operator
// looks for them.
func TestOverlayWithCertificateAuthority(t *testing.T) {
	t.Parallel()
	files, err := docs.Files("../../docs/installing.md")
	if err != nil {
		t.Fatal(err)
	}
	const name = "overlay/kustomization.yaml"
	dir := t.TempDir()
	if err := errors.Join(
		os.CopyFS(filepath.Join(dir, "config"), os.DirFS("../../config")),
		os.Mkdir(filepath.Join(dir, "overlay"), 0o755),
		os.WriteFile(filepath.Join(dir, name), []byte(files[name]), 0o600),
	); err != nil {
		t.Fatal(err)
	}
	rendered, err := exec.CommandContext(t.Context(), filepath.Join(os.Getenv("KUBEBUILDER_ASSETS"), "kubectl"), "kustomize", filepath.Join(dir, "overlay")).Output()
	if err != nil {
		t.Fatal(err)
	}
	for documents := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(rendered))); ; {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			t.Fatal("the overlay has no operator")
		}
		var operator appsv1.Deployment
		if err := errors.Join(err, yaml.Unmarshal(document, &operator)); err != nil {
			t.Fatal(err)
		}
		if operator.Kind != "Deployment" || operator.Name != "procman-operator" {
			continue
		}
		const mountPath = "/etc/procman/ca"
		spec := operator.Spec.Template.Spec
		env := spec.Containers[0].Env
		if len(env) != 4 { // of which the others are those of the store and the memory
			t.Fatalf("the environment is %+v", env)
		}
		got := corev1.PodSpec{Volumes: spec.Volumes, Containers: []corev1.Container{{Env: env[3:], VolumeMounts: spec.Containers[0].VolumeMounts}}}
		want := corev1.PodSpec{
			Volumes: []corev1.Volume{{Name: "ca", VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: "procman-ca"}}}}},
			Containers: []corev1.Container{{
				Env:          []corev1.EnvVar{{Name: "SSL_CERT_DIR", Value: mountPath}},
				VolumeMounts: []corev1.VolumeMount{{Name: "ca", MountPath: mountPath, ReadOnly: true}},
			}},
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		return
	}
}
