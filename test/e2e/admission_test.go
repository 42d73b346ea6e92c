// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"procman.dev/procman/api/v1alpha1"
)

// jobOfType returns a Job similar to the operator's Job for a type, for a dry run.
func jobOfType(processType string) *batchv1.Job {
	return &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: workNamespace, GenerateName: "trial-",
			Labels: map[string]string{v1alpha1.LabelType: processType}, Annotations: map[string]string{"trial": "true"},
		},
		Spec: batchv1.JobSpec{Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{
			RestartPolicy: corev1.RestartPolicyNever,
			Containers: []corev1.Container{{
				Name: "worker", Image: "any", Env: []corev1.EnvVar{{Name: "ANY"}}, VolumeMounts: []corev1.VolumeMount{{Name: "any", MountPath: "/any"}},
				SecurityContext: &corev1.SecurityContext{AllowPrivilegeEscalation: new(false), Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}}},
			}},
			SecurityContext: &corev1.PodSecurityContext{RunAsNonRoot: new(true), SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault}},
			Volumes:         []corev1.Volume{{Name: "any"}},
			Tolerations:     []corev1.Toleration{{Key: "any", Operator: corev1.TolerationOpExists}},
		}}},
	}
}

// mutateJobs makes the cluster change each new Job of a type, as an admission
// policy of an operator does. A change is a path below the pod's spec and a JSON
// value. It returns when the policy is active.
func mutateJobs(t *testing.T, processType string, changes map[string]string) {
	t.Helper()
	operations := []string{`JSONPatch{op: "add", path: "/metadata/annotations/mutated", value: "true"}`}
	for path, value := range changes {
		operations = append(operations, fmt.Sprintf(`JSONPatch{op: "add", path: "/spec/template/spec/%s", value: %s}`, path, celOf(t, value)))
	}
	createForTest(t, &admissionv1.MutatingAdmissionPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: "mutate-" + processType},
		Spec: admissionv1.MutatingAdmissionPolicySpec{
			MatchConstraints:   creationOf("batch", "jobs"),
			MatchConditions:    []admissionv1.MatchCondition{ofType(processType)},
			ReinvocationPolicy: admissionv1.NeverReinvocationPolicy,
			FailurePolicy:      new(admissionv1.Fail),
			Mutations: []admissionv1.Mutation{{
				PatchType: admissionv1.PatchTypeJSONPatch,
				JSONPatch: &admissionv1.JSONPatch{Expression: "[" + strings.Join(operations, ", ") + "]"},
			}},
		},
	})
	createForTest(t, &admissionv1.MutatingAdmissionPolicyBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "mutate-" + processType},
		Spec:       admissionv1.MutatingAdmissionPolicyBindingSpec{PolicyName: "mutate-" + processType},
	})
	eventually(t, time.Minute, "Jobs of type "+processType+" are mutated", func() bool {
		trial := jobOfType(processType)
		err := kube.Create(t.Context(), trial, client.DryRunAll)
		return err == nil && trial.Annotations["mutated"] == "true"
	})
}

// celOf returns a JSON value as a CEL expression. dyn() is needed because all values
// of a CEL map or list must otherwise have one type.
func celOf(t *testing.T, text string) string {
	t.Helper()
	var value any
	if err := json.Unmarshal([]byte(text), &value); err != nil {
		t.Fatal(err)
	}
	var write func(any) string
	write = func(value any) string {
		var parts []string
		switch v := value.(type) {
		case map[string]any:
			for name, member := range v {
				parts = append(parts, fmt.Sprintf("%q: dyn(%s)", name, write(member)))
			}
			return "{" + strings.Join(parts, ", ") + "}"
		case []any:
			for _, item := range v {
				parts = append(parts, "dyn("+write(item)+")")
			}
			return "[" + strings.Join(parts, ", ") + "]"
		}
		text, _ := json.Marshal(value)
		return string(text)
	}
	return write(value)
}

// rejectCreation makes the cluster reject every new Job or pod of a type, with a
// reason, except for the Job with which the operator checks the type: it would close the
// type. It returns when the policy is active.
func rejectCreation(t *testing.T, processType, group, resource string, reason metav1.StatusReason) {
	t.Helper()
	createForTest(t, &admissionv1.ValidatingAdmissionPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: "reject-" + processType},
		Spec: admissionv1.ValidatingAdmissionPolicySpec{
			MatchConstraints: creationOf(group, resource),
			MatchConditions:  []admissionv1.MatchCondition{ofType(processType)},
			FailurePolicy:    new(admissionv1.Fail),
			Validations: []admissionv1.Validation{{
				Expression: `object.metadata.?generateName.orValue("") == "dry-run-"`, Message: "rejected by the test", Reason: &reason,
			}},
		},
	})
	createForTest(t, &admissionv1.ValidatingAdmissionPolicyBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "reject-" + processType},
		Spec: admissionv1.ValidatingAdmissionPolicyBindingSpec{
			PolicyName: "reject-" + processType, ValidationActions: []admissionv1.ValidationAction{admissionv1.Deny},
		},
	})
	eventually(t, time.Minute, resource+" of type "+processType+" are rejected", func() bool {
		job := jobOfType(processType)
		var trial client.Object = job
		if resource == "pods" {
			trial = &corev1.Pod{ObjectMeta: job.ObjectMeta, Spec: job.Spec.Template.Spec}
		}
		err := kube.Create(t.Context(), trial, client.DryRunAll)
		return err != nil && strings.Contains(err.Error(), "rejected by the test")
	})
}

// creationOf matches the creation of a resource.
func creationOf(group, resource string) *admissionv1.MatchResources {
	return &admissionv1.MatchResources{ResourceRules: []admissionv1.NamedRuleWithOperations{{
		RuleWithOperations: admissionv1.RuleWithOperations{
			Operations: []admissionv1.OperationType{admissionv1.Create},
			Rule:       admissionv1.Rule{APIGroups: []string{group}, APIVersions: []string{"v1"}, Resources: []string{resource}},
		},
	}}}
}

// ofType matches objects with the label of a process type.
func ofType(processType string) admissionv1.MatchCondition {
	return admissionv1.MatchCondition{
		Name:       "of-the-type",
		Expression: fmt.Sprintf(`has(object.metadata.labels) && object.metadata.labels[?%q].orValue("") == %q`, v1alpha1.LabelType, processType),
	}
}
