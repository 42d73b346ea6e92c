// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"procman.dev/procman/api/v1alpha1"
)

// TestOtherNamespacesAreRefused: the admission policy refuses objects where no operator
// would see them.
func TestOtherNamespacesAreRefused(t *testing.T) {
	t.Parallel()
	for _, object := range []client.Object{
		&v1alpha1.ProcessType{Spec: v1alpha1.ProcessTypeSpec{Image: "procman.local/echo-worker:dev"}},
		&v1alpha1.Process{Spec: v1alpha1.ProcessSpec{Type: "echo", Input: "{}"}},
	} {
		object.SetNamespace(metav1.NamespaceDefault)
		object.SetName("elsewhere")
		err := kube.Create(t.Context(), object)
		if err == nil || !strings.Contains(err.Error(), "the operator does not work in the namespace default") {
			t.Errorf("%T: the error is %v", object, err)
		}
	}
}

// TestTemplateReachesTheWorker registers a shell script that writes what it finds of its
// template into its output.
func TestTemplateReachesTheWorker(t *testing.T) {
	t.Parallel()
	createForTest(t, &corev1.Secret{ObjectMeta: named("template-secret"), StringData: map[string]string{"password": "open sesame"}})
	createForTest(t, &corev1.ConfigMap{ObjectMeta: named("template-settings"), Data: map[string]string{"level": "11", "hidden": "x"}})
	const script = `
		mib() { echo $(($(df -k --output=size "$1" | tail -n 1) / 1024)); }
		can() { if (echo x >"$1/x") 2>/dev/null; then echo yes; else echo no; fi; }
		dd if=/dev/zero of=/process/filler bs=1M count=64 2>/dev/null || full=yes
		rm /process/filler
		printf '{"arg":"%s","mode":"%s","password":"%s","level":"%s","files":"%s","user":"%s","group":"%s","cacheMiB":%s,"settings":"%s","root":"%s","tmp":"%s","processFull":"%s","home":"%s","shmMiB":%s,"shm":"%s"}' \
			"$1" "$MODE" "$PASSWORD" "$(cat /etc/settings/sound/level)" "$(ls /etc/settings)" "$(id -u)" "$(id -g)" "$(mib /cache)" \
			"$(can /etc/settings)" "$(can /)" "$(can /tmp)" "$full" "$HOME" "$(mib /dev/shm)" "$(can /dev/shm)" >"$PROCESS_OUTPUT_FILE"`
	createForTest(t, &v1alpha1.ProcessType{
		ObjectMeta: named("template"),
		Spec: v1alpha1.ProcessTypeSpec{
			Image: "procman.local/ocr-worker:dev", Agent: v1alpha1.AgentEmbedded,
			Command: []string{"/bin/sh", "-c", script, "sh"}, Args: []string{"louder"},
			Limits: v1alpha1.Limits{ScratchBytes: 8 << 20},
			Template: v1alpha1.WorkerTemplate{
				Labels:       map[string]v1alpha1.LabelValue{"team": "pages", "app.kubernetes.io/part-of": "pages"},
				Annotations:  map[string]v1alpha1.AnnotationValue{"registry.example/contact": "pages", "cluster-autoscaler.kubernetes.io/safe-to-evict": "false"},
				Resources:    corev1.ResourceRequirements{Limits: corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("128Mi")}},
				NodeSelector: map[string]v1alpha1.LabelValue{"kubernetes.io/os": "linux"},
				Tolerations:  []corev1.Toleration{{Key: "batch", Operator: corev1.TolerationOpExists}},
				Volumes: []v1alpha1.Volume{
					{Name: "settings", ConfigMap: v1alpha1.ConfigMapVolume{Name: "template-settings", Items: []v1alpha1.KeyPath{{Key: "level", Path: "sound/level"}}}},
					{Name: "cache", EmptyDir: &v1alpha1.EmptyDirVolume{Medium: v1alpha1.MediumMemory, SizeLimit: resource.MustParse("16Mi")}},
					{Name: "shared", EmptyDir: &v1alpha1.EmptyDirVolume{Medium: v1alpha1.MediumMemory, SizeLimit: resource.MustParse("32Mi")}},
				},
				VolumeMounts: []v1alpha1.VolumeMount{
					{Name: "settings", MountPath: "/etc/settings", Access: v1alpha1.AccessReadOnly},
					{Name: "cache", MountPath: "/cache"},
					{Name: "shared", MountPath: "/dev/shm"},
				},
				Env: []v1alpha1.EnvVar{
					{Name: "MODE", Value: new("loud")},
					{Name: "PASSWORD", ValueFrom: v1alpha1.EnvSource{SecretKeyRef: v1alpha1.KeyRef{Name: "template-secret", Key: "password"}}},
				},
				SecurityContext: v1alpha1.SecurityContext{RunAsUser: new(int64(4711)), RunAsGroup: new(int64(4712)), FSGroup: new(int64(4713))},
			},
		},
	})
	awaitKnown(t, "template")
	id := post(t, "template", `{}`)
	a := awaitComplete(t, "template", id)
	var got map[string]any
	if err := json.Unmarshal(a.Output, &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"arg": "louder", "mode": "loud", "password": "open sesame", "level": "11", "files": "sound",
		"user": "4711", "group": "4712", "cacheMiB": 16.0, "settings": "no", "root": "no", "tmp": "yes", "processFull": "yes",
		"home": "/tmp", "shmMiB": 32.0, "shm": "yes",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	job := getJob(t, id)
	pod := job.Spec.Template
	if job.Labels["team"] != "pages" || pod.Labels["team"] != "pages" || pod.Labels["app.kubernetes.io/part-of"] != "pages" || pod.Annotations["registry.example/contact"] != "pages" || pod.Spec.NodeSelector["kubernetes.io/os"] != "linux" {
		t.Errorf("the Job lacks labels, annotations or the node selector of the template: %+v", job)
	}
}

func TestTypeThatIsNotAccepted(t *testing.T) {
	t.Parallel()
	registered := &v1alpha1.ProcessType{
		ObjectMeta: named("too-privileged"),
		Spec: v1alpha1.ProcessTypeSpec{
			Image: "procman.local/echo-worker:dev", Command: []string{"/echo-worker"},
			Template: v1alpha1.WorkerTemplate{SecurityContext: v1alpha1.SecurityContext{RunAsUser: new(int64(0))}},
		},
	}
	createForTest(t, registered)
	eventually(t, 30*time.Second, "the facade refuses the type", func() bool {
		a := do(t, http.MethodPost, "/v1/processes/too-privileged", []byte(`{"input":{}}`))
		return a.status == 480 && strings.Contains(string(a.ErrorDetails), `"message":"process type too-privileged is not accepted: the operator's --pod-security=restricted does not allow spec.template.securityContext.runAsUser`)
	})
}

// TestEntrypointCannotBeResolved: without a command in the type, the operator asks the
// image's registry for the entrypoint. This cluster has no registry.
func TestEntrypointCannotBeResolved(t *testing.T) {
	t.Parallel()
	registerEcho(t, "echo-entrypoint", func(s *v1alpha1.ProcessTypeSpec) { s.Command, s.StartTimeoutSeconds = nil, 3 })
	a := awaitError(t, "echo-entrypoint", post(t, "echo-entrypoint", `{}`), "ImagePullFailed")
	if !strings.Contains(string(a.ErrorDetails), `"message":"`) {
		t.Errorf("errorDetails are %s, want a message", a.ErrorDetails)
	}
	if c := getType(t, "echo-entrypoint").Verdict(v1alpha1.ConditionImageResolved); c == nil || c.Reason != v1alpha1.ReasonRegistryUnreachable {
		t.Errorf("the condition ImageResolved is %+v, want reason %s", c, v1alpha1.ReasonRegistryUnreachable)
	}
}
