// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package jobspec

import (
	"encoding/json"
	"flag"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	"procman.dev/procman/api/v1alpha1"
)

var update = flag.Bool("update", false, "write the golden files")

// everything returns a template with every field set.
func everything() v1alpha1.WorkerTemplate {
	return v1alpha1.WorkerTemplate{
		Labels: map[string]v1alpha1.LabelValue{
			"team":             "pages",
			v1alpha1.LabelType: "forged", // the API server refuses it; ours overrides it
		},
		Annotations: map[string]v1alpha1.AnnotationValue{"registry.example/contact": "pages@registry.example"},
		Resources: corev1.ResourceRequirements{
			Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("100m")},
			Limits:   corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("1Gi")},
		},
		NodeSelector: map[string]v1alpha1.LabelValue{"disk": "fast"},
		Tolerations:  []corev1.Toleration{{Key: "gpu", Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoSchedule}},
		Affinity: corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{
			NodeSelectorTerms: []corev1.NodeSelectorTerm{{MatchExpressions: []corev1.NodeSelectorRequirement{{Key: "zone", Operator: corev1.NodeSelectorOpExists}}}},
		}}},
		PriorityClassName: "batch",
		RuntimeClassName:  "sandboxed",
		ImagePullSecrets:  []v1alpha1.PullSecret{{Name: "registry"}},
		Volumes: []v1alpha1.Volume{
			{Name: "scratch", EmptyDir: &v1alpha1.EmptyDirVolume{SizeLimit: resource.MustParse("2Gi")}},
			{Name: "ram", EmptyDir: &v1alpha1.EmptyDirVolume{Medium: v1alpha1.MediumMemory, SizeLimit: resource.MustParse("64Mi")}},
			{Name: "settings", ConfigMap: v1alpha1.ConfigMapVolume{Name: "settings", Items: []v1alpha1.KeyPath{{Key: "a", Path: "a.conf"}}}},
			{Name: "keys", Secret: v1alpha1.SecretVolume{SecretName: "keys"}},
			{Name: "models", PersistentVolumeClaim: v1alpha1.ClaimVolume{ClaimName: "models"}},
			{Name: "data", Image: v1alpha1.ImageVolume{Reference: "registry.example/data:1", PullPolicy: corev1.PullAlways}},
		},
		VolumeMounts: []v1alpha1.VolumeMount{
			{Name: "scratch", MountPath: "/scratch"},
			{Name: "models", MountPath: "/models", SubPath: "v1", Access: v1alpha1.AccessReadOnly},
		},
		Env: []v1alpha1.EnvVar{
			{Name: "MODE", Value: new("fast")},
			{Name: "HOME", Value: new("/home/worker")},
			{Name: "PASSWORD", ValueFrom: v1alpha1.EnvSource{SecretKeyRef: v1alpha1.KeyRef{Name: "keys", Key: "password"}}},
			{Name: "LEVEL", ValueFrom: v1alpha1.EnvSource{ConfigMapKeyRef: v1alpha1.KeyRef{Name: "settings", Key: "level"}}},
		},
		SecurityContext: v1alpha1.SecurityContext{
			RunAsUser: new(int64(0)), RunAsGroup: new(int64(1)), FSGroup: new(int64(2)),
			RootFilesystem:      v1alpha1.RootFilesystemWritable,
			AddCapabilities:     []v1alpha1.Capability{"NET_BIND_SERVICE"},
			PrivilegeEscalation: v1alpha1.PrivilegeEscalationAllowed,
		},
	}
}

func TestJob(t *testing.T) {
	for name, change := range map[string]func(*v1alpha1.ProcessType){
		"embedded":       func(t *v1alpha1.ProcessType) { t.Spec.Agent = v1alpha1.AgentEmbedded },
		"image-volume":   func(t *v1alpha1.ProcessType) { t.Spec.Agent = v1alpha1.AgentImageVolume },
		"init-container": func(*v1alpha1.ProcessType) {}, // the operator's default, here
		"everything": func(t *v1alpha1.ProcessType) {
			t.Spec.Args = []string{"--more"}
			t.Spec.BackoffSeconds = 60
			t.Spec.ImagePullPolicy = corev1.PullAlways
			t.Spec.Limits = v1alpha1.Limits{InputBytes: 1000, OutputBytes: 2000, ScratchBytes: 5 << 20}
			t.Spec.Template = everything()
			// Left from an earlier spec: it does not count.
			t.Status.Image, t.Status.Command = "registry.example/old@sha256:1", []string{"/old"}
		},
		"from-image": func(t *v1alpha1.ProcessType) {
			t.Spec.Agent, t.Spec.Command, t.Spec.Args = v1alpha1.AgentEmbedded, nil, []string{"already in status.command"}
			t.Status.Image, t.Status.Command = "registry.example/worker@sha256:0123", []string{"/entrypoint", "arg"}
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := &v1alpha1.Process{
				ObjectMeta: metav1.ObjectMeta{Namespace: "work", Name: "the-process", UID: "the-uid"},
				Spec:       v1alpha1.ProcessSpec{Type: "ocr", Input: `{"secret":"client data"}`},
			}
			pt := &v1alpha1.ProcessType{
				ObjectMeta: metav1.ObjectMeta{Namespace: "work", Name: "ocr"},
				Spec: v1alpha1.ProcessTypeSpec{
					Image: "registry.example/worker:1", Command: []string{"/worker", "--fast"},
					TimeoutSeconds: 300, StartTimeoutSeconds: 180, Attempts: 3,
					Template: v1alpha1.WorkerTemplate{Resources: corev1.ResourceRequirements{
						Limits: corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("1Gi")},
					}},
				},
			}
			change(pt)
			before := pt.DeepCopy()
			job := Job(p, pt, Pod(pt, config))
			got, err := yaml.Marshal(job)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(before, pt); diff != "" {
				t.Errorf("the type, which belongs to a cache, was changed: %s", diff)
			}
			if strings.Contains(string(got), "client data") {
				t.Error("the client's input got into the Job")
			}
			golden := filepath.Join("testdata", name+".yaml")
			if *update {
				if err := os.WriteFile(golden, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), string(got)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// config is the operator's settings in these tests.
var config = Config{
	AgentImage: "registry.example/agent:1", AgentInjection: v1alpha1.AgentInitContainer,
	CollectorURL: "http://collector:8090", ServiceAccount: "procman-worker", GraceSeconds: 25, DeliverySeconds: 600,
}

// A pod can be started before its process exists.
func TestPodsOfATypeAreTheSame(t *testing.T) {
	pt := &v1alpha1.ProcessType{ObjectMeta: metav1.ObjectMeta{Namespace: "work", Name: "ocr"}}
	pt.Spec = v1alpha1.ProcessTypeSpec{Image: "i", Command: []string{"/w"}, Attempts: 2, Template: everything()}
	var templates []string
	for _, name := range []string{"one", "two"} {
		p := &v1alpha1.Process{
			ObjectMeta: metav1.ObjectMeta{Namespace: "work", Name: name, UID: types.UID("uid-" + name), Labels: map[string]string{"l": name}},
			Spec:       v1alpha1.ProcessSpec{Type: "ocr", LifetimeSeconds: int32(len(name)), Input: `{"of":"` + name + `"}`},
		}
		job := Job(p, pt, Pod(pt, config))
		if job.Name != name || job.Labels[v1alpha1.LabelProcess] != name || !metav1.IsControlledBy(job, p) {
			t.Errorf("the Job of %s is %+v", name, job.ObjectMeta)
		}
		text, err := json.Marshal(job.Spec.Template)
		if err != nil {
			t.Fatal(err)
		}
		templates = append(templates, string(text))
	}
	if diff := cmp.Diff(templates[0], templates[1]); diff != "" {
		t.Errorf("the pods of two processes differ: %s", diff)
	}
}

// What is fixed when a Job is created does not change with its type.
func TestTimeout(t *testing.T) {
	pt := &v1alpha1.ProcessType{Spec: v1alpha1.ProcessTypeSpec{TimeoutSeconds: 90}}
	job := Job(&v1alpha1.Process{ObjectMeta: metav1.ObjectMeta{Name: "p"}}, pt, Pod(pt, config))
	if got, err := Timeout(job); err != nil || got != 90*time.Second {
		t.Errorf("got %s, %v", got, err)
	}
	job.Annotations = nil
	if _, err := Timeout(job); err == nil || !strings.Contains(err.Error(), "Job p") {
		t.Errorf("without the annotation: %v", err)
	}
}

func TestKueue(t *testing.T) {
	for name, test := range map[string]struct {
		labels    map[string]string
		want      map[string]string
		suspended bool
	}{
		"no labels":      {nil, nil, false},
		"other labels":   {map[string]string{"team": "a"}, nil, false},
		"priority alone": {map[string]string{"kueue.x-k8s.io/priority-class": "low"}, map[string]string{"kueue.x-k8s.io/priority-class": "low"}, false},
		"a queue":        {map[string]string{"kueue.x-k8s.io/queue-name": "q", "team": "a"}, map[string]string{"kueue.x-k8s.io/queue-name": "q"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			pt := &v1alpha1.ProcessType{ObjectMeta: metav1.ObjectMeta{Name: "t", Labels: test.labels}}
			job := Job(&v1alpha1.Process{ObjectMeta: metav1.ObjectMeta{Name: "p"}}, pt, Pod(pt, Config{}))
			if diff := cmp.Diff(map[string]string{v1alpha1.LabelType: "t"}, job.Spec.Template.Labels); diff != "" {
				t.Errorf("of the pod: %s", diff)
			}
			want := map[string]string{v1alpha1.LabelProcess: "p", v1alpha1.LabelType: "t"}
			maps.Copy(want, test.want)
			if diff := cmp.Diff(want, job.Labels); diff != "" {
				t.Error(diff)
			}
			if got := job.Spec.Suspend != nil && *job.Spec.Suspend; got != test.suspended {
				t.Errorf("suspended: %t, want %t", got, test.suspended)
			}
		})
	}
}

// The kubelet expands the args of a type, but not the entrypoint of an image.
func TestCommandOfTheImageIsKept(t *testing.T) {
	pt := &v1alpha1.ProcessType{Spec: v1alpha1.ProcessTypeSpec{Image: "i", Args: []string{"$(MODE)"}}}
	pt.Status.Image, pt.Status.Command = "i@sha256:0", []string{"sh", "-c", "echo $$ $(HOME)", "$(MODE)"}
	_, got := program(pt)
	if diff := cmp.Diff([]string{"sh", "-c", "echo $$$$ $$(HOME)", "$(MODE)"}, got); diff != "" {
		t.Error(diff)
	}
	if pt.Status.Command[2] != "echo $$ $(HOME)" {
		t.Error("the type itself is changed")
	}
}
