package jobspec

import (
	"flag"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"procman.dev/procman/api/v1alpha1"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestBuild(t *testing.T) {
	for name, delivery := range map[string]v1alpha1.AgentDelivery{
		"embedded":       v1alpha1.AgentEmbedded,
		"image-volume":   v1alpha1.AgentImageVolume,
		"init-container": "", // the operator's default, here
	} {
		t.Run(name, func(t *testing.T) {
			p := &v1alpha1.Process{
				ObjectMeta: metav1.ObjectMeta{Namespace: "work", Name: "the-process", UID: "the-uid"},
				Spec:       v1alpha1.ProcessSpec{Type: "ocr", Input: `{"secret":"client data"}`},
			}
			pt := &v1alpha1.ProcessType{
				ObjectMeta: metav1.ObjectMeta{Namespace: "work", Name: "ocr"},
				Spec: v1alpha1.ProcessTypeSpec{
					Image: "registry.example/worker:1", Command: []string{"/worker", "--fast"}, Agent: delivery,
					TimeoutSeconds: 300, StartTimeoutSeconds: 180, Attempts: 3,
					Template: v1alpha1.WorkerTemplate{Resources: corev1.ResourceRequirements{
						Limits: corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("1Gi")},
					}},
				},
			}
			job := Build(p, pt, Config{
				AgentImage: "registry.example/agent:1", AgentDelivery: v1alpha1.AgentInitContainer,
				CollectorURL: "http://collector:8090", ServiceAccount: "procman-worker", GraceSeconds: 25, DeliverySeconds: 600,
			})
			got, err := yaml.Marshal(job)
			if err != nil {
				t.Fatal(err)
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

func TestThroughKueue(t *testing.T) {
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
			p := &v1alpha1.Process{ObjectMeta: metav1.ObjectMeta{Name: "p"}}
			job := Build(p, &v1alpha1.ProcessType{ObjectMeta: metav1.ObjectMeta{Name: "t", Labels: test.labels}}, Config{})
			want := map[string]string{v1alpha1.LabelProcess: "p", v1alpha1.LabelType: "t"}
			if diff := cmp.Diff(want, job.Spec.Template.Labels); diff != "" {
				t.Errorf("of the pod: %s", diff)
			}
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
