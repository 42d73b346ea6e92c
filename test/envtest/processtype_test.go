// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package envtest

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	inprocess "github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"procman.dev/procman/api/v1alpha1"
)

// awaitCondition waits until a type has a condition for its current generation.
func awaitCondition(t *testing.T, name, conditionType string) metav1.Condition {
	t.Helper()
	pt := &v1alpha1.ProcessType{}
	var condition metav1.Condition
	eventually(t, "type "+name+" has a condition "+conditionType, func(ctx context.Context) bool {
		if err := kube.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, pt); err != nil {
			t.Fatal(err)
		}
		c := pt.Verdict(conditionType)
		if c != nil {
			condition = *c
		}
		return c != nil
	})
	return condition
}

func TestAccepted(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change         func(*v1alpha1.ProcessTypeSpec)
		reason, prefix string // of the message
	}{
		"valid":    {func(*v1alpha1.ProcessTypeSpec) {}, "Accepted", "processes of this type can be started"},
		"schema":   {func(s *v1alpha1.ProcessTypeSpec) { s.OutputSchema = schema(`{"type":"objekt"}`) }, "InvalidSchema", "spec.outputSchema: "},
		"lifetime": {func(s *v1alpha1.ProcessTypeSpec) { s.TimeoutSeconds = 7200 }, "LifetimeTooShort", "spec.lifetimeSeconds is 1200, expected at least 21630: "},
		"root":     {func(s *v1alpha1.ProcessTypeSpec) { s.Template.SecurityContext.RunAsUser = new(int64(0)) }, "PolicyViolation", "the operator's --pod-security=restricted does not allow spec.template.securityContext.runAsUser: "},
		"label": {func(s *v1alpha1.ProcessTypeSpec) {
			s.Template.Labels = map[string]v1alpha1.LabelValue{"a": "not a label"}
		}, "InvalidTemplate", "the cluster refuses the Job of such a process: metadata.labels: "},
		"requests": {func(s *v1alpha1.ProcessTypeSpec) { s.Template.Resources = moreThanItsLimit() }, "InvalidTemplate", "the cluster refuses the Job of such a process: spec.template.spec.containers[0].resources.requests: "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pt := newType("accepted-" + name)
			test.change(&pt.Spec)
			create(t, pt)
			accepted := awaitCondition(t, pt.Name, v1alpha1.ConditionAccepted)
			if accepted.Reason != test.reason || !strings.HasPrefix(accepted.Message, test.prefix) {
				t.Errorf("the condition is %+v, want %s: %s", accepted, test.reason, test.prefix)
			}
			if ready := awaitCondition(t, pt.Name, v1alpha1.ConditionReady); (ready.Status == metav1.ConditionTrue) != (test.reason == "Accepted") || !strings.HasPrefix(ready.Message, test.prefix) {
				t.Errorf("the condition is %+v", ready)
			}
			p := newProcess(pt.Name)
			p.Spec.Type = pt.Name
			create(t, p)
			if test.reason == "Accepted" {
				awaitJob(t, p)
				return
			}
			s := awaitTerminal(t, p.Name).Status
			if s.ErrorCode != "TypeNotAccepted" || !strings.Contains(s.ErrorDetails, `"reason":"`+test.reason+`"`) || s.JobName != "" {
				t.Errorf("the status of its process is %+v", s)
			}
			var jobs batchv1.JobList
			if err := kube.List(t.Context(), &jobs, client.InNamespace(namespace), client.MatchingLabels{v1alpha1.LabelType: pt.Name}); err != nil || len(jobs.Items) > 0 {
				t.Errorf("a type that is not accepted has %d Jobs, want none; error %v", len(jobs.Items), err)
			}
		})
	}
}

// schema returns a schema for a ProcessType.
func schema(text string) *apiextensionsv1.JSON { return &apiextensionsv1.JSON{Raw: []byte(text)} }

// moreThanItsLimit returns resources that the API server refuses.
func moreThanItsLimit() corev1.ResourceRequirements {
	return corev1.ResourceRequirements{
		Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("2")},
		Limits:   corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("1")},
	}
}

// serveRegistry starts a registry and returns its host.
func serveRegistry(t *testing.T) string {
	t.Helper()
	server := httptest.NewServer(inprocess.New(inprocess.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

// pushImage pushes an image whose entrypoint is program. It returns the image's
// reference by digest.
func pushImage(t *testing.T, reference, program string) string {
	t.Helper()
	image, err := mutate.Config(empty.Image, v1.Config{Entrypoint: []string{program}})
	if err != nil {
		t.Fatal(err)
	}
	ref, err := name.ParseReference(reference)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(ref, image, remote.WithContext(t.Context())); err != nil {
		t.Fatal(err)
	}
	digest, err := image.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return ref.Context().Digest(digest.String()).String()
}

func TestCommandComesFromTheImage(t *testing.T) {
	t.Parallel()
	image := serveRegistry(t) + "/worker:1"
	pt := newType("from-image")
	pt.Spec.Image, pt.Spec.Command, pt.Spec.Args = image, nil, []string{"--fast"}
	create(t, pt)
	p := newProcess("from-image")
	p.Spec.Type = pt.Name
	create(t, p)
	if condition := awaitCondition(t, pt.Name, v1alpha1.ConditionImageResolved); condition.Reason != "ImageNotFound" {
		t.Errorf("the condition of a missing image is %+v", condition)
	}
	if condition := awaitCondition(t, pt.Name, v1alpha1.ConditionAccepted); condition.Status != metav1.ConditionTrue {
		t.Errorf("the type is not accepted: %+v", condition)
	}
	if err := kube.Get(t.Context(), client.ObjectKeyFromObject(p), &batchv1.Job{}); !apierrors.IsNotFound(err) {
		t.Errorf("its process was launched without a command: %v", err)
	}
	if ready := awaitCondition(t, pt.Name, v1alpha1.ConditionReady); ready.Status != metav1.ConditionFalse || ready.Reason != v1alpha1.ReasonImageNotResolved {
		t.Errorf("the type is %+v", ready)
	}
	pinned := pushImage(t, image, "/entrypoint") // the process waits for this
	worker := awaitJob(t, p).Spec.Template.Spec.Containers[0]
	if diff := cmp.Diff([]string{"/procman/agent", "--", "/entrypoint", "--fast"}, worker.Command); diff != "" || worker.Image != pinned {
		t.Errorf("command %s\nimage %s, want %s", diff, worker.Image, pinned)
	}
	if ready := awaitCondition(t, pt.Name, v1alpha1.ConditionReady); ready.Status != metav1.ConditionTrue {
		t.Errorf("the type is %+v", ready)
	}
}

func TestImageIsNotResolvedInTime(t *testing.T) {
	t.Parallel()
	pt := newType("never-resolved")
	pt.Spec.Image, pt.Spec.Command, pt.Spec.StartTimeoutSeconds = serveRegistry(t)+"/none:1", nil, 2
	create(t, pt)
	p := newProcess(pt.Name)
	p.Spec.Type = pt.Name
	create(t, p)
	if s := awaitTerminal(t, p.Name).Status; s.ErrorCode != "ImagePullFailed" || !strings.Contains(s.ErrorDetails, "NAME_UNKNOWN") || s.JobName != "" {
		t.Errorf("unexpected status %+v", s)
	}
}

// TestChangedType: processes that are launched keep the old spec of their type, others
// use the new one.
func TestChangedType(t *testing.T) {
	t.Parallel()
	pt := create(t, newType("changing"))
	before := newProcess("changing-before")
	before.Spec.Type = pt.Name
	create(t, before)
	old := awaitJob(t, before)
	patch := client.MergeFrom(pt.DeepCopy())
	pt.Spec.Image, pt.Spec.StartTimeoutSeconds = "worker:2", 77
	pt.Spec.InputSchema = schema(`{"type":"object","required":["m"],"properties":{"m":{"type":"integer"}}}`)
	if err := kube.Patch(t.Context(), pt, patch); err != nil {
		t.Fatal(err)
	}
	refused, after := newProcess("changing-refused"), newProcess("changing-after")
	refused.Spec.Type, after.Spec.Type = pt.Name, pt.Name
	after.Spec.Input = `{"m":1}`
	// Wait until the operator's cache has the change.
	awaitCondition(t, pt.Name, v1alpha1.ConditionAccepted)
	create(t, refused)
	create(t, after)
	if image := awaitJob(t, after).Spec.Template.Spec.Containers[0].Image; image != "worker:2" {
		t.Errorf("a process launched after the change runs %s, want worker:2", image)
	}
	if s := awaitTerminal(t, refused.Name).Status; s.ErrorCode != "MissingInput" {
		t.Errorf("the status of a process with an input that the new schema refuses is %+v", s)
	}
	if again := awaitJob(t, before); again.UID != old.UID || again.ResourceVersion != old.ResourceVersion {
		t.Errorf("the Job launched before the change was changed: %+v", again)
	}
}

// TestTypeBecomesInvalid: only processes that are not launched yet fail.
func TestTypeBecomesInvalid(t *testing.T) {
	t.Parallel()
	pt := create(t, newType("worsening"))
	before := newProcess("worsening-before")
	before.Spec.Type = pt.Name
	create(t, before)
	awaitJob(t, before)
	patch := client.MergeFrom(pt.DeepCopy())
	pt.Spec.InputSchema = schema(`{"type":"objekt"}`)
	if err := kube.Patch(t.Context(), pt, patch); err != nil {
		t.Fatal(err)
	}
	awaitCondition(t, pt.Name, v1alpha1.ConditionAccepted) // the operator has seen it
	after := newProcess("worsening-after")
	after.Spec.Type = pt.Name
	create(t, after)
	if s := awaitTerminal(t, after.Name).Status; s.ErrorCode != "TypeNotAccepted" {
		t.Errorf("unexpected status %+v", s)
	}
	endPod(t, addPod(t, awaitJob(t, before), "worsening-1"), corev1.ContainerStateTerminated{Message: `{"attempt":1,"output":"{}"}`})
	if s := awaitTerminal(t, before.Name).Status; s.State != v1alpha1.StateComplete {
		t.Errorf("the status of the launched process is %+v, want complete", s)
	}
}

func TestDeletedType(t *testing.T) {
	t.Parallel()
	pt := create(t, newType("deleted-type"))
	before := newProcess("deleted-before")
	before.Spec.Type = pt.Name
	create(t, before)
	pod := addPod(t, awaitJob(t, before), "deleted-1")
	if err := kube.Delete(t.Context(), pt); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the operator has seen it", func(context.Context) bool {
		_, ok := series(t, "procman_processes_queued", pt.Name)
		return !ok
	})
	after := newProcess("deleted-after")
	after.Spec.Type = pt.Name
	create(t, after)
	if s := awaitTerminal(t, after.Name).Status; s.ErrorCode != "InvalidInput" || !strings.Contains(s.ErrorDetails, "there is no process type deleted-type") {
		t.Errorf("the status of a process created after the deletion is %+v", s)
	}
	endPod(t, pod, corev1.ContainerStateTerminated{Message: `{"attempt":1,"output":"{}"}`})
	if s := awaitTerminal(t, before.Name).Status; s.State != v1alpha1.StateComplete {
		t.Errorf("the status of the launched process is %+v, want complete", s)
	}
}

func TestCountsOfAType(t *testing.T) {
	t.Parallel()
	pt := newType("counted")
	pt.Spec.Image, pt.Spec.Command = serveRegistry(t)+"/none:1", nil // processes that wait for it are queued
	create(t, pt)
	for _, name := range []string{"counted-1", "counted-2", "counted-3"} {
		p := newProcess(name)
		p.Spec.Type = pt.Name
		create(t, p)
	}
	counts := func(queued, running, finished int32) {
		t.Helper()
		eventually(t, fmt.Sprintf("the type counts %d queued, %d running, %d finished", queued, running, finished), func(ctx context.Context) bool {
			if err := kube.Get(ctx, client.ObjectKeyFromObject(pt), pt); err != nil {
				t.Fatal(err)
			}
			s := pt.Status
			return s.Queued != nil && *s.Queued == queued && *s.Running == running && *s.Finished == finished
		})
	}
	counts(3, 0, 0)
	patch := client.MergeFrom(pt.DeepCopy())
	pt.Spec.Command = []string{"/worker"}
	if err := kube.Patch(t.Context(), pt, patch); err != nil {
		t.Fatal(err)
	}
	counts(0, 3, 0)
	p := newProcess("counted-1")
	endPod(t, addPod(t, awaitJob(t, p), "counted-1-1"), corev1.ContainerStateTerminated{Message: `{"attempt":1,"output":"{}"}`})
	counts(0, 2, 1)
	if err := kube.Delete(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	counts(0, 2, 0)
}

// TestEveryFieldIsDocumented: docs/processtype.md names every field of the CRD and every
// reason of its conditions.
func TestEveryFieldIsDocumented(t *testing.T) {
	t.Parallel()
	file, err := os.ReadFile("../../config/crd/bases/procman.dev_processtypes.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var crd apiextensionsv1.CustomResourceDefinition
	if err := yaml.Unmarshal(file, &crd); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("../../docs/processtype.md")
	if err != nil {
		t.Fatal(err)
	}
	page := string(text)
	whole := crd.Spec.Versions[0].Schema.OpenAPIV3Schema
	var walk func(path string, s *apiextensionsv1.JSONSchemaProps)
	walk = func(path string, s *apiextensionsv1.JSONSchemaProps) {
		if s.Items != nil {
			s = s.Items.Schema
		}
		for name, child := range s.Properties {
			full := path + name
			if !strings.Contains(page, "`"+full+"`") {
				t.Errorf("docs/processtype.md does not name `%s`", full)
			}
			switch full { // these have the structure of their Kubernetes types
			case "template.resources", "template.tolerations", "template.affinity", "conditions", "inputSchema", "outputSchema":
				continue
			}
			walk(full+".", &child)
		}
	}
	for _, part := range []string{"spec", "status"} {
		s := whole.Properties[part]
		walk("", &s)
	}
	for _, reason := range []string{
		v1alpha1.ReasonReady, v1alpha1.ReasonNotAccepted, v1alpha1.ReasonImageNotResolved, v1alpha1.ReasonImagePending,
		v1alpha1.ReasonAccepted, v1alpha1.ReasonAliasTaken, v1alpha1.ReasonInvalidSchema, v1alpha1.ReasonLifetimeTooShort, v1alpha1.ReasonPolicyViolation, v1alpha1.ReasonInvalidTemplate,
		v1alpha1.ReasonResolved, v1alpha1.ReasonImageNotFound, v1alpha1.ReasonUnauthorized, v1alpha1.ReasonRegistryUnreachable, v1alpha1.ReasonNoEntrypoint, v1alpha1.ReasonNoPullSecret,
	} {
		if !strings.Contains(page, "`"+reason+"`") {
			t.Errorf("docs/processtype.md does not name `%s`", reason)
		}
	}
}
