//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"procman.dev/procman/api/v1alpha1"
)

// makeForTest makes an object for the time of the test.
func makeForTest(t *testing.T, object client.Object) {
	t.Helper()
	object.SetNamespace(workNamespace)
	if err := kube.Create(t.Context(), object); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := kube.Delete(context.Background(), object); err != nil {
			t.Error(err)
		}
	})
}

// Where no operator looks, nothing is taken in.
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

// The worker, a shell, tells what it sees of the template.
func TestTemplateReachesTheWorker(t *testing.T) {
	t.Parallel()
	makeForTest(t, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "template-secret"}, StringData: map[string]string{"password": "open sesame"}})
	makeForTest(t, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "template-settings"}, Data: map[string]string{"level": "11", "hidden": "x"}})
	const script = `
		mib() { echo $(($(df -k --output=size "$1" | tail -n 1) / 1024)); }
		can() { if (echo x >"$1/x") 2>/dev/null; then echo yes; else echo no; fi; }
		dd if=/dev/zero of=/process/filler bs=1M count=64 2>/dev/null || full=yes
		rm /process/filler
		printf '{"arg":"%s","mode":"%s","password":"%s","level":"%s","files":"%s","user":"%s","group":"%s","cacheMiB":%s,"settings":"%s","root":"%s","tmp":"%s","processFull":"%s"}' \
			"$1" "$MODE" "$PASSWORD" "$(cat /etc/settings/sound/level)" "$(ls /etc/settings)" "$(id -u)" "$(id -g)" "$(mib /cache)" \
			"$(can /etc/settings)" "$(can /)" "$(can /tmp)" "$full" >"$PROCESS_OUTPUT_FILE"`
	makeForTest(t, &v1alpha1.ProcessType{
		ObjectMeta: metav1.ObjectMeta{Name: "template"},
		Spec: v1alpha1.ProcessTypeSpec{
			Image: "procman.local/ocr-worker:dev", Agent: v1alpha1.AgentEmbedded,
			Command: []string{"/bin/sh", "-c", script, "sh"}, Args: []string{"louder"},
			Limits: v1alpha1.Limits{ScratchBytes: 8 << 20},
			Template: v1alpha1.WorkerTemplate{
				Labels:       map[string]v1alpha1.LabelValue{"team": "pages"},
				Annotations:  map[string]v1alpha1.AnnotationValue{"registry.example/contact": "pages"},
				Resources:    corev1.ResourceRequirements{Limits: corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("128Mi")}},
				NodeSelector: map[string]v1alpha1.LabelValue{"kubernetes.io/os": "linux"},
				Tolerations:  []corev1.Toleration{{Key: "batch", Operator: corev1.TolerationOpExists}},
				Volumes: []v1alpha1.Volume{
					{Name: "settings", ConfigMap: v1alpha1.ConfigMapVolume{Name: "template-settings", Items: []v1alpha1.KeyPath{{Key: "level", Path: "sound/level"}}}},
					{Name: "cache", EmptyDir: &v1alpha1.EmptyDirVolume{Medium: v1alpha1.MediumMemory, SizeLimit: resource.MustParse("16Mi")}},
				},
				VolumeMounts: []v1alpha1.VolumeMount{
					{Name: "settings", MountPath: "/etc/settings", Access: v1alpha1.AccessReadOnly},
					{Name: "cache", MountPath: "/cache"},
				},
				Env: []v1alpha1.EnvVar{
					{Name: "MODE", Value: new("loud")},
					{Name: "PASSWORD", ValueFrom: v1alpha1.EnvSource{SecretKeyRef: v1alpha1.KeyRef{Name: "template-secret", Key: "password"}}},
				},
				SecurityContext: v1alpha1.SecurityContext{RunAsUser: new(int64(4711)), RunAsGroup: new(int64(4712)), FSGroup: new(int64(4713))},
			},
		},
	})
	known(t, "template")
	id := post(t, "template", `{}`)
	a := complete(t, "template", id)
	var got map[string]any
	if err := json.Unmarshal(a.Output, &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"arg": "louder", "mode": "loud", "password": "open sesame", "level": "11", "files": "sound",
		"user": "4711", "group": "4712", "cacheMiB": 16.0, "settings": "no", "root": "no", "tmp": "yes", "processFull": "yes",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	job := &batchv1.Job{}
	if err := kube.Get(t.Context(), client.ObjectKey{Namespace: workNamespace, Name: id}, job); err != nil {
		t.Fatal(err)
	}
	pod := job.Spec.Template
	if job.Labels["team"] != "pages" || pod.Labels["team"] != "pages" || pod.Annotations["registry.example/contact"] != "pages" || pod.Spec.NodeSelector["kubernetes.io/os"] != "linux" {
		t.Errorf("the Job is %+v", job)
	}
}

func TestTypeThatIsNotAccepted(t *testing.T) {
	t.Parallel()
	registered := &v1alpha1.ProcessType{
		ObjectMeta: metav1.ObjectMeta{Name: "too-mighty"},
		Spec: v1alpha1.ProcessTypeSpec{
			Image: "procman.local/echo-worker:dev", Command: []string{"/echo-worker"},
			Template: v1alpha1.WorkerTemplate{SecurityContext: v1alpha1.SecurityContext{RunAsUser: new(int64(0))}},
		},
	}
	makeForTest(t, registered)
	eventually(t, 30*time.Second, "the facade refuses the type", func() bool {
		a := do(t, http.MethodPost, "/v1/processes/too-mighty", []byte(`{"input":{}}`))
		return a.status == 480 && strings.Contains(string(a.ErrorDetails), `"message":"process type too-mighty is not accepted: the operator's --pod-security=restricted does not allow spec.template.securityContext.runAsUser`)
	})
}

// Without a command, a registry has to say what the image runs. The cluster has
// none.
func TestEntrypointThatNobodyTells(t *testing.T) {
	t.Parallel()
	registerEcho(t, "echo-entrypoint", func(s *v1alpha1.ProcessTypeSpec) { s.Command, s.StartTimeoutSeconds = nil, 3 })
	a := failed(t, "echo-entrypoint", post(t, "echo-entrypoint", `{}`), "ImagePullFailed")
	if !strings.Contains(string(a.ErrorDetails), `"message":"`) {
		t.Errorf("errorDetails %s tell nobody what to do", a.ErrorDetails)
	}
	pt := &v1alpha1.ProcessType{}
	if err := kube.Get(t.Context(), client.ObjectKey{Namespace: workNamespace, Name: "echo-entrypoint"}, pt); err != nil {
		t.Fatal(err)
	}
	if c := pt.Verdict(v1alpha1.ConditionImageResolved); c == nil || c.Reason != v1alpha1.ReasonRegistryUnreachable {
		t.Errorf("the condition is %+v", c)
	}
}
