package outcome

import (
	"fmt"
	"strings"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"procman.dev/procman/api/v1alpha1"
	"procman.dev/procman/internal/agentapi"
)

var start = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

// at is a time so many seconds after the Job's creation.
func at(seconds int) metav1.Time {
	return metav1.NewTime(start.Add(time.Duration(seconds) * time.Second))
}

type jobOption func(*batchv1.Job)

func aJob(options ...jobOption) *batchv1.Job {
	job := &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{
			Name: "p", UID: "job", CreationTimestamp: at(0),
			Annotations: map[string]string{v1alpha1.AnnotationStartTimeoutSeconds: "60"},
		},
		Spec: batchv1.JobSpec{BackoffLimit: new(int32(2))},
	}
	for _, o := range options {
		o(job)
	}
	return job
}

func ended(kind batchv1.JobConditionType, seconds int) jobOption {
	return func(j *batchv1.Job) {
		j.Status.Conditions = append(j.Status.Conditions, batchv1.JobCondition{Type: kind, Status: corev1.ConditionTrue, LastTransitionTime: at(seconds)})
	}
}

func suspended(j *batchv1.Job) { j.Spec.Suspend = new(true) }

func resumed(seconds int) jobOption {
	return func(j *batchv1.Job) { j.Status.StartTime = new(at(seconds)) }
}

func failures(n int32) jobOption { return func(j *batchv1.Job) { j.Status.Failed = n } }

type podOption func(*corev1.Pod)

// aPod is a pod of the Job's, created so many seconds after it.
func aPod(seconds int, options ...podOption) corev1.Pod {
	pod := corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name: fmt.Sprintf("pod-%d", seconds), UID: types.UID(fmt.Sprint(seconds)), CreationTimestamp: at(seconds),
			OwnerReferences: []metav1.OwnerReference{{UID: "job", Controller: new(true)}},
		},
		Status: corev1.PodStatus{Phase: corev1.PodPending},
	}
	for _, o := range options {
		o(&pod)
	}
	return pod
}

func waiting(reason, message string) podOption {
	return func(p *corev1.Pod) {
		p.Status.ContainerStatuses = []corev1.ContainerStatus{{
			Name: "worker", Image: "the-image", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}},
		}}
	}
}

func runs(p *corev1.Pod) {
	p.Status.Phase = corev1.PodRunning
	p.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "worker", State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}}
}

// terminated is a worker that ended 10 seconds after its pod's creation.
func terminated(code int32, reason, message string) podOption {
	return func(p *corev1.Pod) {
		p.Status.Phase = corev1.PodFailed
		p.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "worker", State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
			ExitCode: code, Reason: reason, Message: message, FinishedAt: metav1.NewTime(p.CreationTimestamp.Add(10 * time.Second)),
		}}}}
	}
}

func receipt(r agentapi.Receipt) podOption {
	return terminated(1, "Error", string(r.Encode()))
}

func unschedulable(p *corev1.Pod) {
	p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Message: "0/1 nodes"}}
}

func sandboxed(p *corev1.Pod) {
	p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReadyToStartContainers, Status: corev1.ConditionTrue}}
}

func evicted(p *corev1.Pod) {
	p.Status.Phase, p.Status.Reason, p.Status.Message = corev1.PodFailed, "Evicted", "no disk"
}

func overdue(p *corev1.Pod) { p.Status.Phase, p.Status.Reason = corev1.PodFailed, "DeadlineExceeded" }

func strangers(p *corev1.Pod) { p.OwnerReferences = nil }

func TestDecide(t *testing.T) {
	crash := agentapi.Receipt{Result: agentapi.Result{Attempt: 1, ErrorCode: "WorkerFailed", ErrorDetails: `{"exitCode":1}`, Retry: true}}
	interrupted := crash
	interrupted.Interrupted = true
	for name, test := range map[string]struct {
		job     *batchv1.Job
		pods    []corev1.Pod
		now     int
		code    string // of the result; "complete" for an output
		in      string // what the details hold
		attempt int32
		recheck int // seconds; 0 for none
	}{
		"no pod yet":                     {job: aJob(), now: 1, recheck: 60},
		"no pod in time":                 {job: aJob(), now: 60, code: "StartTimeout", in: "quota"},
		"no pod between attempts":        {job: aJob(failures(1)), now: 90},
		"no pod any more":                {job: aJob(ended(batchv1.JobFailed, 50)), now: 60, code: "ResultLost"},
		"no pod any more, a moment ago":  {job: aJob(ended(batchv1.JobFailed, 50)), now: 59, recheck: 60},
		"only a stranger's pod":          {job: aJob(), pods: []corev1.Pod{aPod(1, strangers, receipt(crash))}, now: 1, recheck: 60},
		"starting":                       {job: aJob(), pods: []corev1.Pod{aPod(2)}, now: 3, recheck: 62},
		"not started in time":            {job: aJob(), pods: []corev1.Pod{aPod(2)}, now: 62, code: "StartTimeout"},
		"not scheduled yet":              {job: aJob(), pods: []corev1.Pod{aPod(2, unschedulable)}, now: 61, recheck: 62},
		"not scheduled in time":          {job: aJob(), pods: []corev1.Pod{aPod(2, unschedulable)}, now: 62, code: "Unschedulable", in: "0/1 nodes"},
		"pull fails":                     {job: aJob(), pods: []corev1.Pod{aPod(2, waiting("ImagePullBackOff", "no such image"))}, now: 61, recheck: 62},
		"pull failed for too long":       {job: aJob(), pods: []corev1.Pod{aPod(2, waiting("ImagePullBackOff", "no such image"))}, now: 62, code: "ImagePullFailed", in: "the-image"},
		"pull goes on for too long":      {job: aJob(), pods: []corev1.Pod{aPod(2, sandboxed)}, now: 62, code: "ImagePullFailed"},
		"image name that cannot be one":  {job: aJob(), pods: []corev1.Pod{aPod(2, waiting("InvalidImageName", "bad"))}, now: 3, code: "ImagePullFailed"},
		"container cannot be made":       {job: aJob(), pods: []corev1.Pod{aPod(2, waiting("CreateContainerConfigError", "no secret"))}, now: 62, code: "StartTimeout", in: "no secret"},
		"running":                        {job: aJob(), pods: []corev1.Pod{aPod(2, runs)}, now: 300},
		"output in the receipt":          {job: aJob(), pods: []corev1.Pod{aPod(2, receipt(agentapi.Receipt{Result: agentapi.Result{Attempt: 1, Output: "{}"}}))}, now: 13, code: "complete", attempt: 1},
		"error in the receipt":           {job: aJob(), pods: []corev1.Pod{aPod(2, receipt(agentapi.Receipt{Result: agentapi.Result{Attempt: 1, ErrorCode: "No"}}))}, now: 13, code: "No", attempt: 1},
		"output too large for a receipt": {job: aJob(), pods: []corev1.Pod{aPod(2, receipt(agentapi.Receipt{Result: agentapi.Result{Attempt: 1}, Truncated: true}))}, now: 13, recheck: 22},
		"and it was not delivered":       {job: aJob(), pods: []corev1.Pod{aPod(2, receipt(agentapi.Receipt{Result: agentapi.Result{Attempt: 1}, Truncated: true}))}, now: 22, code: "ResultLost", attempt: 1},
		"crash, to be tried again":       {job: aJob(failures(1)), pods: []corev1.Pod{aPod(2, receipt(crash))}, now: 13},
		"crash, the last":                {job: aJob(failures(3), ended(batchv1.JobFailed, 14)), pods: []corev1.Pod{aPod(2, receipt(crash))}, now: 15, code: "WorkerFailed", in: `"exitCode":1`, attempt: 1},
		"the newest attempt counts":      {job: aJob(failures(1)), pods: []corev1.Pod{aPod(40, runs), aPod(2, receipt(crash))}, now: 41},
		"out of memory":                  {job: aJob(), pods: []corev1.Pod{aPod(2, terminated(137, "OOMKilled", ""))}, now: 13, code: "OutOfMemory", attempt: 1},
		"killed without a receipt":       {job: aJob(), pods: []corev1.Pod{aPod(2, terminated(137, "Error", ""))}, now: 13},
		"killed so, and the last":        {job: aJob(ended(batchv1.JobFailed, 14)), pods: []corev1.Pod{aPod(2, terminated(137, "Error", ""))}, now: 14, code: "WorkerFailed", in: `"exitCode":137`, attempt: 1},
		"evicted":                        {job: aJob(), pods: []corev1.Pod{aPod(2, evicted)}, now: 13},
		"evicted, and the last":          {job: aJob(ended(batchv1.JobFailureTarget, 14)), pods: []corev1.Pod{aPod(2, evicted)}, now: 14, code: "Evicted", in: "no disk"},
		"pod outlived its bound":         {job: aJob(), pods: []corev1.Pod{aPod(2, overdue)}, now: 13, code: "DeadlineExceeded"},
		"Job complete, nothing delivered": {
			job: aJob(ended(batchv1.JobComplete, 14)), pods: []corev1.Pod{aPod(2, runs)}, now: 24, code: "ResultLost", attempt: 1,
		},
		"a suspended Job":                    {job: aJob(ended(batchv1.JobSuspended, 1), failures(1)), now: 600},
		"suspended from the start":           {job: aJob(suspended), now: 600},
		"not resumed by the Job controller":  {job: aJob(ended(batchv1.JobSuspended, 1)), now: 600},
		"resumed":                            {job: aJob(resumed(500)), now: 501, recheck: 560},
		"resumed, no pod in time":            {job: aJob(resumed(500)), now: 560, code: "StartTimeout"},
		"preempted while it started":         {job: aJob(suspended), pods: []corev1.Pod{aPod(2, unschedulable)}, now: 62},
		"resumed before its old pod is gone": {job: aJob(resumed(61)), pods: []corev1.Pod{aPod(2)}, now: 62, recheck: 121},
		"preempted while it ran":             {job: aJob(suspended), pods: []corev1.Pod{aPod(2, receipt(interrupted))}, now: 62},
		"preempted a moment too late":        {job: aJob(suspended), pods: []corev1.Pod{aPod(2, receipt(agentapi.Receipt{Result: agentapi.Result{Attempt: 1, Output: "{}"}}))}, now: 62, code: "complete", attempt: 1},
	} {
		t.Run(name, func(t *testing.T) {
			d := Decide(test.job, test.pods, at(test.now).Time)
			code, details, attempt := "", "", int32(0)
			if d.Result != nil {
				code, details, attempt = d.Result.ErrorCode, d.Result.ErrorDetails, d.Result.Attempt
				if d.Result.Complete() {
					code = "complete"
				}
			}
			if code != test.code || !strings.Contains(details, test.in) || attempt != test.attempt {
				t.Errorf("result %q %s, attempt %d; want %q with %q, attempt %d", code, details, attempt, test.code, test.in, test.attempt)
			}
			want := time.Time{}
			if test.recheck > 0 {
				want = at(test.recheck).Time
			}
			if !d.RecheckAt.Equal(want) {
				t.Errorf("recheck at %s, want %s", d.RecheckAt, want)
			}
		})
	}
}

func TestNumber(t *testing.T) {
	for name, test := range map[string]struct {
		job  *batchv1.Job
		pods []corev1.Pod
		of   int // which of the pods, oldest first
		want int32
	}{
		"the first":                     {aJob(), []corev1.Pod{aPod(1, runs)}, 0, 1},
		"the second":                    {aJob(failures(1)), []corev1.Pod{aPod(30, runs), aPod(1, evicted)}, 1, 2},
		"the second, the first is gone": {aJob(failures(1)), []corev1.Pod{aPod(30, runs)}, 0, 2},
		"the first, counted already":    {aJob(failures(1)), []corev1.Pod{aPod(1, evicted)}, 0, 1},
		"an old one":                    {aJob(failures(1)), []corev1.Pod{aPod(1, evicted), aPod(30, runs)}, 0, 1},
	} {
		t.Run(name, func(t *testing.T) {
			attempts := Attempts(test.job, test.pods)
			if got := Number(test.job, attempts, &attempts[test.of]); got != test.want {
				t.Errorf("got %d, want %d", got, test.want)
			}
		})
	}
}
