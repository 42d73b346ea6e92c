// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

// Package jobspec builds the pods and Jobs that run workers. Pod is a pure function of
// a ProcessType and the operator's settings; it does not depend on a Process. Job adds
// the Process.
package jobspec

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"procman.dev/procman/api/v1alpha1"
	"procman.dev/procman/internal/agentapi"
	"procman.dev/procman/internal/timing"
)

// WorkerContainer is the name of the container in which the worker runs.
const WorkerContainer = "worker"

// annotationDefaultContainer names the container that kubectl logs shows by default. It
// matters if the cluster adds containers to the pod.
const annotationDefaultContainer = "kubectl.kubernetes.io/default-container"

// Config is the operator's settings for all pods.
type Config struct {
	// AgentImage contains the agent at agentapi.AgentPath.
	AgentImage string
	// AgentInjection is used for types that do not set it.
	AgentInjection v1alpha1.AgentInjection
	// CollectorURL is the collector's base URL for agents.
	CollectorURL string
	// ServiceAccount is the workers' service account, which has no rights.
	ServiceAccount string
	// GraceSeconds is the time between SIGTERM and SIGKILL.
	GraceSeconds int32
	// DeliverySeconds is how long after its worker's end an agent tries to deliver the
	// result.
	DeliverySeconds int32
}

// Pod returns the template of the pods of a type. All processes of the type get the
// same one, so that a pod can be started before its process exists; its agent gets
// everything about the process from the collector.
func Pod(t *v1alpha1.ProcessType, c Config) corev1.PodTemplateSpec {
	labels, annotations := stringMap(t.Spec.Template.Labels), stringMap(t.Spec.Template.Annotations)
	labels[v1alpha1.LabelType] = t.Name
	annotations[annotationDefaultContainer] = WorkerContainer
	return corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: labels, Annotations: annotations},
		Spec:       podSpec(t, c),
	}
}

// Job returns the Job of a Process of type t. pod is what Pod returned. The Job has the
// name of the Process, so there is at most one. The Process owns the Job, so that both
// are deleted together.
func Job(p *v1alpha1.Process, t *v1alpha1.ProcessType, pod corev1.PodTemplateSpec) *batchv1.Job {
	labels, annotations := maps.Clone(pod.Labels), maps.Clone(pod.Annotations)
	labels[v1alpha1.LabelProcess] = p.Name
	annotations[v1alpha1.AnnotationTimeoutSeconds] = strconv.Itoa(int(t.Spec.TimeoutSeconds))
	annotations[v1alpha1.AnnotationStartTimeoutSeconds] = strconv.Itoa(int(t.Spec.StartTimeoutSeconds))
	if t.Spec.BackoffSeconds > 0 {
		annotations[v1alpha1.AnnotationBackoffSeconds] = strconv.Itoa(int(t.Spec.BackoffSeconds))
	}
	job := &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{
			Name:        p.Name,
			Namespace:   p.Namespace,
			Labels:      labels,
			Annotations: annotations,
			OwnerReferences: []metav1.OwnerReference{
				*metav1.NewControllerRef(p, v1alpha1.GroupVersion.WithKind("Process")),
			},
		},
		Spec: batchv1.JobSpec{
			BackoffLimit:            new(t.Spec.Attempts - 1),
			PodFailurePolicy:        failurePolicy(),
			TTLSecondsAfterFinished: new(ttlSeconds(p)),
			Template:                pod,
		},
	}
	addKueue(job, t)
	return job
}

// ttlSeconds returns how long after its end Kubernetes deletes a Job that the operator
// has not deleted. While the operator is down, the status of the pod can have the only
// copy of the result. Therefore it is the lifetime of the Process: when Kubernetes
// deletes the Job, the Process has expired.
func ttlSeconds(p *v1alpha1.Process) int32 {
	return int32(p.ExpirationTime().Sub(p.CreationTimestamp.Time) / time.Second)
}

// Timeout returns how long a worker of the Job may run: timeoutSeconds of its type when
// the Job was created.
func Timeout(job *batchv1.Job) (time.Duration, error) {
	seconds, err := strconv.ParseInt(job.Annotations[v1alpha1.AnnotationTimeoutSeconds], 10, 32)
	if err != nil {
		return 0, fmt.Errorf("annotation %s of Job %s: %w", v1alpha1.AnnotationTimeoutSeconds, job.Name, err)
	}
	return time.Duration(seconds) * time.Second, nil
}

// failurePolicy fails the Job immediately if the agent exits with agentapi.ExitFinal. Pods
// that the cluster itself ended, or that were interrupted, do not count as attempts.
func failurePolicy() *batchv1.PodFailurePolicy {
	return &batchv1.PodFailurePolicy{Rules: []batchv1.PodFailurePolicyRule{
		{
			Action: batchv1.PodFailurePolicyActionFailJob,
			OnExitCodes: &batchv1.PodFailurePolicyOnExitCodesRequirement{
				ContainerName: new(WorkerContainer),
				Operator:      batchv1.PodFailurePolicyOnExitCodesOpIn,
				Values:        []int32{agentapi.ExitFinal},
			},
		},
		{
			Action: batchv1.PodFailurePolicyActionIgnore,
			OnPodConditions: []batchv1.PodFailurePolicyOnPodConditionsPattern{
				{Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue},
			},
		},
		{
			Action: batchv1.PodFailurePolicyActionIgnore,
			OnExitCodes: &batchv1.PodFailurePolicyOnExitCodesRequirement{
				ContainerName: new(WorkerContainer),
				Operator:      batchv1.PodFailurePolicyOnExitCodesOpIn,
				Values:        []int32{agentapi.ExitInterrupted},
			},
		},
	}}
}

// nodeTolerationSeconds is how long a pod stays on a node that is not ready or not
// reachable. The default of Kubernetes, 300, is meant for servers. A worker should run
// again on another node sooner.
const nodeTolerationSeconds = 30

func tolerations() []corev1.Toleration {
	var tolerated []corev1.Toleration
	for _, taint := range []string{corev1.TaintNodeNotReady, corev1.TaintNodeUnreachable} {
		tolerated = append(tolerated, corev1.Toleration{
			Key: taint, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute,
			TolerationSeconds: new(int64(nodeTolerationSeconds)),
		})
	}
	return tolerated
}

func podSpec(t *v1alpha1.ProcessType, c Config) corev1.PodSpec {
	// The agent ends the worker in time. This bound is for an agent that fails to do so.
	// It includes the pause before an attempt, because the pod exists during the pause.
	longest := int64(t.Spec.StartTimeoutSeconds) + int64(timing.TypePause(t.Spec.BackoffSeconds, t.Spec.Attempts-1)/time.Second) +
		int64(t.Spec.TimeoutSeconds) + int64(c.GraceSeconds) + int64(c.DeliverySeconds)
	spec := corev1.PodSpec{
		RestartPolicy:                 corev1.RestartPolicyNever,
		ServiceAccountName:            c.ServiceAccount,
		AutomountServiceAccountToken:  new(false),
		EnableServiceLinks:            new(false),
		ActiveDeadlineSeconds:         new(longest),
		TerminationGracePeriodSeconds: new(int64(c.GraceSeconds) + 5),
		SecurityContext:               podSecurity(t.Spec.Template.SecurityContext),
		Tolerations:                   tolerations(),
		Containers:                    []corev1.Container{workerContainer(t, c)},
		Volumes: []corev1.Volume{
			{Name: "process", VolumeSource: emptyDir(corev1.StorageMediumMemory, processDirBytes(t))},
			{Name: "tmp", VolumeSource: emptyDir(corev1.StorageMediumDefault, t.ScratchBytes())},
			{Name: "token", VolumeSource: token()},
		},
	}
	injectAgent(&spec, t, c)
	applyTemplate(&spec, t.Spec.Template)
	return spec
}

func workerContainer(t *v1alpha1.ProcessType, c Config) corev1.Container {
	env := func(name, value string) corev1.EnvVar { return corev1.EnvVar{Name: name, Value: value} }
	image, command := program(t)
	return corev1.Container{
		Name:            WorkerContainer,
		Image:           image,
		ImagePullPolicy: t.Spec.ImagePullPolicy, // if empty, Kubernetes chooses by the tag
		Command:         append([]string{agentapi.AgentPath, "--"}, command...),
		Resources:       *t.Spec.Template.Resources.DeepCopy(),
		SecurityContext: workerSecurity(t.Spec.Template.SecurityContext),
		// The log explains an agent that could not write its receipt.
		TerminationMessagePolicy: corev1.TerminationMessageFallbackToLogsOnError,
		Env: append([]corev1.EnvVar{
			env(agentapi.EnvCollectorURL, c.CollectorURL),
			env(agentapi.EnvGraceSeconds, strconv.Itoa(int(c.GraceSeconds))),
			env(agentapi.EnvDeliverySeconds, strconv.Itoa(int(c.DeliverySeconds))),
			env(agentapi.EnvOutputLimitBytes, strconv.Itoa(t.MaxOutputBytes())),
		}, templateEnv(t.Spec.Template.Env)...),
		VolumeMounts: append([]corev1.VolumeMount{
			{Name: "process", MountPath: agentapi.ProcessDir},
			{Name: "tmp", MountPath: "/tmp"},
			{Name: "token", MountPath: "/var/run/procman", ReadOnly: true},
		}, templateMounts(t.Spec.Template.VolumeMounts)...),
	}
}

// program returns the image and the command that the agent starts in it: those of the
// type's spec or, when that has no command, what the operator read from the image's
// registry.
func program(t *v1alpha1.ProcessType) (image string, command []string) {
	if len(t.Spec.Command) == 0 {
		// The kubelet replaces $(NAME) and $$ in a pod's command, but not in the entrypoint
		// of an image. Therefore the words from the image are escaped here. The last words
		// are the type's args, if it has any.
		command = slices.Clone(t.Status.Command)
		for i := range max(len(command)-len(t.Spec.Args), 0) {
			command[i] = strings.ReplaceAll(command[i], "$", "$$")
		}
		return t.Status.Image, command
	}
	return t.Spec.Image, slices.Concat(t.Spec.Command, t.Spec.Args)
}

// processDirBytes returns the size of /process, which is a file system in memory. A
// worker that writes too much gets ENOSPC immediately; on a disk, the limit would be
// enforced late. There is space for the input, the output, a second output that is
// renamed over the first one, and the small files.
func processDirBytes(t *v1alpha1.ProcessType) int64 {
	return int64(t.MaxInputBytes()) + 2*int64(t.MaxOutputBytes()) + 1<<20
}

// injectAgent puts the agent's binary into the worker's container at agentapi.AgentPath.
func injectAgent(spec *corev1.PodSpec, t *v1alpha1.ProcessType, c Config) {
	injection := cmp.Or(t.Spec.Agent, c.AgentInjection)
	mount := corev1.VolumeMount{Name: "agent", MountPath: "/procman", ReadOnly: true}
	var volume corev1.VolumeSource
	switch injection {
	case v1alpha1.AgentEmbedded:
		return
	case v1alpha1.AgentImageVolume:
		mount.SubPath = "procman"
		volume.Image = &corev1.ImageVolumeSource{Reference: c.AgentImage}
	case v1alpha1.AgentInitContainer:
		const target = "/target"
		volume = emptyDir(corev1.StorageMediumDefault, 64<<20)
		spec.InitContainers = []corev1.Container{{
			Name:            "agent",
			Image:           c.AgentImage,
			Command:         []string{agentapi.AgentPath, "install", target + "/agent"},
			SecurityContext: restricted(),
			Resources:       *t.Spec.Template.Resources.DeepCopy(),
			VolumeMounts:    []corev1.VolumeMount{{Name: "agent", MountPath: target}},
		}}
	}
	spec.Volumes = append(spec.Volumes, corev1.Volume{Name: "agent", VolumeSource: volume})
	spec.Containers[0].VolumeMounts = append(spec.Containers[0].VolumeMounts, mount)
}

// emptyDir returns a volume that is an empty directory and stores at most bytes bytes.
func emptyDir(medium corev1.StorageMedium, bytes int64) corev1.VolumeSource {
	return corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{
		Medium: medium, SizeLimit: resource.NewQuantity(bytes, resource.BinarySI),
	}}
}

// token returns a volume with the token by which the agent proves which pod it runs in.
// The token is bound to the pod, and only the collector accepts it.
func token() corev1.VolumeSource {
	return corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{
		Sources: []corev1.VolumeProjection{{
			ServiceAccountToken: &corev1.ServiceAccountTokenProjection{
				Audience:          agentapi.Audience,
				ExpirationSeconds: new(int64(3600)),
				Path:              "token",
			},
		}},
	}}
}
