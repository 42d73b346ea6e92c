// Package jobspec builds the Job that runs a Process's worker. It is one pure
// function of the Process, its ProcessType and the operator's settings, and
// the only place that shapes a pod. Nothing of a client's input gets into it.
package jobspec

import (
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
)

// WorkerContainer is the name of the container that runs the worker.
const WorkerContainer = "worker"

// Config is what the operator adds to every Job.
type Config struct {
	// AgentImage holds the agent at agentapi.AgentPath.
	AgentImage string
	// AgentDelivery is for types that do not say.
	AgentDelivery v1alpha1.AgentDelivery
	// CollectorURL is where agents find the collector.
	CollectorURL string
	// ServiceAccount is the workers' own, which has no rights.
	ServiceAccount string
	// GraceSeconds is what a worker gets between SIGTERM and SIGKILL.
	GraceSeconds int32
	// DeliverySeconds is how long after its worker's end an agent tries to deliver
	// the result.
	DeliverySeconds int32
}

// Build returns the Job of a Process. It has the Process's name, so that there
// is one Job at most, and is owned by it, so that it goes with it.
func Build(p *v1alpha1.Process, t *v1alpha1.ProcessType, c Config) *batchv1.Job {
	labels, annotations := podLabels(p, t), podAnnotations(t)
	jobAnnotations := maps.Clone(annotations)
	jobAnnotations[v1alpha1.AnnotationStartTimeoutSeconds] = strconv.Itoa(int(t.Spec.StartTimeoutSeconds))
	jobAnnotations[v1alpha1.AnnotationTimeoutSeconds] = strconv.Itoa(int(t.Spec.TimeoutSeconds))
	if t.Spec.BackoffSeconds > 0 {
		jobAnnotations[v1alpha1.AnnotationBackoffSeconds] = strconv.Itoa(int(t.Spec.BackoffSeconds))
	}
	job := &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{
			Name:        p.Name,
			Namespace:   p.Namespace,
			Labels:      labels,
			Annotations: jobAnnotations,
			OwnerReferences: []metav1.OwnerReference{
				*metav1.NewControllerRef(p, v1alpha1.GroupVersion.WithKind("Process")),
			},
		},
		Spec: batchv1.JobSpec{
			BackoffLimit:     new(t.Spec.Attempts - 1),
			PodFailurePolicy: failurePolicy(),
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels, Annotations: annotations},
				Spec:       pod(t, c),
			},
		},
	}
	throughKueue(job, t)
	return job
}

// Timeout returns the longest run of a worker of the Job: its type's timeoutSeconds when
// the Job was created.
func Timeout(job *batchv1.Job) (time.Duration, error) {
	seconds, err := strconv.ParseInt(job.Annotations[v1alpha1.AnnotationTimeoutSeconds], 10, 32)
	if err != nil {
		return 0, fmt.Errorf("annotation %s of Job %s: %w", v1alpha1.AnnotationTimeoutSeconds, job.Name, err)
	}
	return time.Duration(seconds) * time.Second, nil
}

// failurePolicy makes the Job end at once when the agent says so, and keeps
// pods that the cluster itself ended from counting as the worker's attempts.
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

// nodeTolerationSeconds is how long a pod stays on a node that is not ready or
// not reachable. Kubernetes' default is 300, for what serves; a process is
// better run again.
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

func pod(t *v1alpha1.ProcessType, c Config) corev1.PodSpec {
	// The agent keeps the time itself; this bound is for an agent that cannot. A
	// pod waits for its turn in the pause before its attempt.
	longest := int64(t.Spec.StartTimeoutSeconds) + int64(Pause(t.Spec.BackoffSeconds, t.Spec.Attempts-1)/time.Second) +
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
		Containers:                    []corev1.Container{worker(t, c)},
		Volumes: []corev1.Volume{
			{Name: "process", VolumeSource: emptyDir(corev1.StorageMediumMemory, processDirBytes(t))},
			{Name: "tmp", VolumeSource: emptyDir(corev1.StorageMediumDefault, t.ScratchBytes())},
			{Name: "token", VolumeSource: token()},
		},
	}
	deliverAgent(&spec, t, c)
	place(&spec, t.Spec.Template)
	return spec
}

func worker(t *v1alpha1.ProcessType, c Config) corev1.Container {
	env := func(name, value string) corev1.EnvVar { return corev1.EnvVar{Name: name, Value: value} }
	image, command := program(t)
	return corev1.Container{
		Name:            WorkerContainer,
		Image:           image,
		ImagePullPolicy: corev1.PullIfNotPresent,
		Command:         append([]string{agentapi.AgentPath, "--"}, command...),
		Resources:       *t.Spec.Template.Resources.DeepCopy(),
		SecurityContext: workerSecurity(t.Spec.Template.SecurityContext),
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

// program is the image that runs and the command that the agent starts in it: as
// the type says, or else as its image does, by what its registry said.
func program(t *v1alpha1.ProcessType) (image string, command []string) {
	if len(t.Spec.Command) == 0 {
		// Kubernetes replaces $(NAME) in a container's command, and $$ by $, but not in
		// what it takes from the image by itself: that is to stay as it is. The args at
		// its end are the type's.
		command = slices.Clone(t.Status.Command)
		for i := range max(len(command)-len(t.Spec.Args), 0) {
			command[i] = strings.ReplaceAll(command[i], "$", "$$")
		}
		return t.Status.Image, command
	}
	return t.Spec.Image, slices.Concat(t.Spec.Command, t.Spec.Args)
}

// processDirBytes is the size of /process. It is memory, since that alone is full
// at once when it is full: a worker that writes without end gets ENOSPC and does
// not fill its node. It holds the input, the output, another output that is about
// to take its place, and the small files.
func processDirBytes(t *v1alpha1.ProcessType) int64 {
	return int64(t.MaxInputBytes()) + 2*int64(t.MaxOutputBytes()) + 1<<20
}

// deliverAgent puts the agent where the worker's container starts it from.
func deliverAgent(spec *corev1.PodSpec, t *v1alpha1.ProcessType, c Config) {
	delivery := t.Spec.Agent
	if delivery == "" {
		delivery = c.AgentDelivery
	}
	mount := corev1.VolumeMount{Name: "agent", MountPath: "/procman", ReadOnly: true}
	var volume corev1.VolumeSource
	switch delivery {
	case v1alpha1.AgentEmbedded:
		return
	case v1alpha1.AgentImageVolume:
		mount.SubPath = "procman"
		volume.Image = &corev1.ImageVolumeSource{Reference: c.AgentImage, PullPolicy: corev1.PullIfNotPresent}
	case v1alpha1.AgentInitContainer:
		const target = "/target"
		volume = emptyDir(corev1.StorageMediumDefault, 64<<20)
		spec.InitContainers = []corev1.Container{{
			Name:            "agent",
			Image:           c.AgentImage,
			ImagePullPolicy: corev1.PullIfNotPresent,
			Command:         []string{agentapi.AgentPath, "install", target + "/agent"},
			SecurityContext: restricted(),
			Resources:       *t.Spec.Template.Resources.DeepCopy(),
			VolumeMounts:    []corev1.VolumeMount{{Name: "agent", MountPath: target}},
		}}
	}
	spec.Volumes = append(spec.Volumes, corev1.Volume{Name: "agent", VolumeSource: volume})
	spec.Containers[0].VolumeMounts = append(spec.Containers[0].VolumeMounts, mount)
}

// emptyDir is a directory of at most so many bytes.
func emptyDir(medium corev1.StorageMedium, bytes int64) corev1.VolumeSource {
	return corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{
		Medium: medium, SizeLimit: resource.NewQuantity(bytes, resource.BinarySI),
	}}
}

// token is the agent's proof of which pod it runs in: bound to the pod, good
// for the collector alone.
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
