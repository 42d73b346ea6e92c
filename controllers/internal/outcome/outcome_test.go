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
		Spec: batchv1.JobSpec{
			BackoffLimit: new(int32(2)),
			Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{
				ActiveDeadlineSeconds: new(int64(100)), TerminationGracePeriodSeconds: new(int64(10)),
			}},
		},
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

// all is when the three attempts of aJob have had their time: 30 s of silence, and
// for each 60 s to start, 110 s in all, and the pauses before the second and third.
const all = 30 + 3*(60+110) + 10 + 20

// because gives the Job's last condition a reason.
func because(reason string) jobOption {
	return func(j *batchv1.Job) { j.Status.Conditions[len(j.Status.Conditions)-1].Reason = reason }
}

// resumed is a Job that was resumed so many seconds after its creation.
func resumed(seconds int) jobOption {
	return func(j *batchv1.Job) { j.Status.StartTime = new(at(seconds)) }
}

func beingDeleted(j *batchv1.Job) { j.DeletionTimestamp = new(at(1)) }

func once(j *batchv1.Job) { j.Spec.BackoffLimit = new(int32(0)) }

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

// initFailed is a pod whose worker was not started for its init container.
func initFailed(reason, message string) podOption {
	return func(p *corev1.Pod) {
		p.Status.Phase = corev1.PodFailed
		p.Status.InitContainerStatuses = []corev1.ContainerStatus{{Name: "agent", State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
			ExitCode: 128, Reason: reason, Message: message,
		}}}}
		p.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "worker", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "PodInitializing"}}}}
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

// lost is a pod whose node nobody hears of, as it was abandoned.
func lost(p *corev1.Pod) {
	p.Status.Phase, p.Status.Reason, p.Spec.NodeName = corev1.PodFailed, ReasonNodeLost, "away"
}

// disrupted is a pod that the cluster itself ends.
func disrupted(p *corev1.Pod) {
	p.Status.Conditions = append(p.Status.Conditions, corev1.PodCondition{
		Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, Reason: "PreemptionByScheduler", Message: "a more important pod",
	})
}

func fails(p *corev1.Pod) { p.Status.Phase = corev1.PodFailed }

// deleted is a pod that has to be gone so many seconds after its Job's creation.
func deleted(seconds int) podOption {
	return func(p *corev1.Pod) { p.DeletionTimestamp = new(at(seconds)) }
}

func onNode(name string) podOption { return func(p *corev1.Pod) { p.Spec.NodeName = name } }

func strangers(p *corev1.Pod) { p.OwnerReferences = nil }

func TestDecide(t *testing.T) {
	crash := agentapi.Receipt{Result: agentapi.Result{Attempt: 1, ErrorCode: "WorkerFailed", ErrorDetails: `{"exitCode":1}`, Retry: true}}
	interrupted := agentapi.Receipt{Result: agentapi.Result{Attempt: 1, ErrorCode: "WorkerFailed", ErrorDetails: `{"signal":"SIGTERM"}`, Retry: true, Interrupted: true}}
	for name, test := range map[string]struct {
		job     *batchv1.Job
		pods    []corev1.Pod
		now     int
		code    string // of the result; "complete" for an output
		in      string // what the details hold
		attempt int32
		explain string // the UID of what the events are about
		abandon string // the pod's name
		recheck int    // seconds; 0 for none
	}{
		"no pod yet":                         {job: aJob(), now: 1, recheck: 60},
		"no pod in time":                     {job: aJob(), now: 60, code: "StartTimeout", in: "made no pod", explain: "job"},
		"no pod between attempts":            {job: aJob(failures(1)), now: 90, recheck: all},
		"no pod after all time":              {job: aJob(failures(1)), now: all, code: "StartTimeout", explain: "job"},
		"no pod any more":                    {job: aJob(ended(batchv1.JobFailed, 50)), now: 60, code: "ResultLost"},
		"no pod any more, a moment ago":      {job: aJob(ended(batchv1.JobFailed, 50)), now: 59, recheck: 60},
		"no pod any more, too many failures": {job: aJob(ended(batchv1.JobFailed, 50), because("BackoffLimitExceeded")), now: 60, code: "WorkerFailed"},
		"no pod any more, a person's bound":  {job: aJob(ended(batchv1.JobFailed, 50), because("DeadlineExceeded")), now: 60, code: "DeadlineExceeded"},
		"only a stranger's pod":              {job: aJob(), pods: []corev1.Pod{aPod(1, strangers, receipt(crash))}, now: 1, recheck: 60},

		"starting":                        {job: aJob(), pods: []corev1.Pod{aPod(2)}, now: 3, recheck: 62},
		"not started in time":             {job: aJob(), pods: []corev1.Pod{aPod(2)}, now: 62, code: "StartTimeout", explain: "2"},
		"not scheduled yet":               {job: aJob(), pods: []corev1.Pod{aPod(2, unschedulable)}, now: 61, recheck: 62},
		"not scheduled in time":           {job: aJob(), pods: []corev1.Pod{aPod(2, unschedulable)}, now: 62, code: "Unschedulable", in: "0/1 nodes"},
		"pull fails":                      {job: aJob(), pods: []corev1.Pod{aPod(2, waiting("ImagePullBackOff", "no such image"))}, now: 61, recheck: 62},
		"pull failed for too long":        {job: aJob(), pods: []corev1.Pod{aPod(2, waiting("ImagePullBackOff", "no such image"))}, now: 62, code: "ImagePullFailed", in: "the-image"},
		"registry away for too long":      {job: aJob(), pods: []corev1.Pod{aPod(2, waiting("RegistryUnavailable", "429"))}, now: 62, code: "ImagePullFailed", in: "the-image"},
		"pull goes on for too long":       {job: aJob(), pods: []corev1.Pod{aPod(2, sandboxed)}, now: 62, code: "ImagePullFailed"},
		"image name that cannot be one":   {job: aJob(), pods: []corev1.Pod{aPod(2, waiting("InvalidImageName", "bad"))}, now: 3, code: "ImagePullFailed", in: "the-image"},
		"container cannot be made":        {job: aJob(), pods: []corev1.Pod{aPod(2, waiting("CreateContainerConfigError", "no secret"))}, now: 62, code: "StartTimeout", in: "no secret"},
		"container cannot be started":     {job: aJob(), pods: []corev1.Pod{aPod(2, terminated(128, "StartError", "no such file"))}, now: 13, code: "WorkerFailed", in: "Embedded", attempt: 1},
		"second attempt not started":      {job: aJob(failures(1)), pods: []corev1.Pod{aPod(2, receipt(crash)), aPod(30)}, now: 90, code: "StartTimeout", explain: "30"},
		"starting, and its node is away":  {job: aJob(), pods: []corev1.Pod{aPod(2, deleted(50))}, now: 70, recheck: 80},
		"running":                         {job: aJob(), pods: []corev1.Pod{aPod(2, runs)}, now: 100, recheck: 2 + 110 + 30},
		"running, the last, with all its": {job: aJob(once), pods: []corev1.Pod{aPod(2, runs)}, now: 100, recheck: 2 + 110 + 30},

		"output in the receipt":          {job: aJob(), pods: []corev1.Pod{aPod(2, receipt(agentapi.Receipt{Result: agentapi.Result{Attempt: 1, Output: "{}"}}))}, now: 13, code: "complete", attempt: 1},
		"error in the receipt":           {job: aJob(), pods: []corev1.Pod{aPod(2, receipt(agentapi.Receipt{Result: agentapi.Result{Attempt: 1, ErrorCode: "No"}}))}, now: 13, code: "No", attempt: 1},
		"output too large for a receipt": {job: aJob(), pods: []corev1.Pod{aPod(2, receipt(agentapi.Receipt{Result: agentapi.Result{Attempt: 1}, Truncated: true}))}, now: 13, recheck: 22},
		"and it was not delivered":       {job: aJob(), pods: []corev1.Pod{aPod(2, receipt(agentapi.Receipt{Result: agentapi.Result{Attempt: 1}, Truncated: true}))}, now: 22, code: "ResultLost", attempt: 1},

		"crash, to be tried again":     {job: aJob(failures(1)), pods: []corev1.Pod{aPod(2, receipt(crash))}, now: 13, recheck: 12 + 10 + 60},
		"crash, and no other pod":      {job: aJob(failures(1)), pods: []corev1.Pod{aPod(2, receipt(crash))}, now: 82, code: "StartTimeout", explain: "job", attempt: 1},
		"crash, the last":              {job: aJob(failures(3), ended(batchv1.JobFailed, 14)), pods: []corev1.Pod{aPod(2, receipt(crash))}, now: 15, code: "WorkerFailed", in: `"exitCode":1`, attempt: 1},
		"the newest attempt counts":    {job: aJob(failures(1)), pods: []corev1.Pod{aPod(40, runs), aPod(2, receipt(crash))}, now: 41, recheck: 40 + 110 + 30},
		"an old attempt's late result": {job: aJob(failures(1)), pods: []corev1.Pod{aPod(40, runs), aPod(2, receipt(agentapi.Receipt{Result: agentapi.Result{Attempt: 1, Output: "{}"}}))}, now: 41, recheck: 40 + 110 + 30},
		"out of memory":                {job: aJob(), pods: []corev1.Pod{aPod(2, terminated(137, "OOMKilled", ""))}, now: 13, code: "OutOfMemory", attempt: 1},
		"killed without a receipt":     {job: aJob(), pods: []corev1.Pod{aPod(2, terminated(137, "Error", ""))}, now: 13, recheck: 12 + 10 + 60},
		"killed so, and the last":      {job: aJob(ended(batchv1.JobFailed, 14)), pods: []corev1.Pod{aPod(2, terminated(137, "Error", ""))}, now: 14, code: "WorkerFailed", in: `"exitCode":137`, attempt: 1},
		"agent's container fails":      {job: aJob(), pods: []corev1.Pod{aPod(2, initFailed("StartError", "no disk"))}, now: 13, recheck: 2 + 10 + 60},
		"so it does in the last":       {job: aJob(ended(batchv1.JobFailed, 14)), pods: []corev1.Pod{aPod(2, initFailed("StartError", "no disk"))}, now: 14, code: "WorkerFailed", in: "failed: no disk"},
		"and says only why":            {job: aJob(ended(batchv1.JobFailed, 14)), pods: []corev1.Pod{aPod(2, initFailed("Error", ""))}, now: 14, code: "WorkerFailed", in: "failed: Error"},
		"agent's container too large":  {job: aJob(), pods: []corev1.Pod{aPod(2, initFailed("OOMKilled", ""))}, now: 13, code: "OutOfMemory", in: "container agent"},
		"a sidecar ends with the pod":  {job: aJob(ended(batchv1.JobFailed, 14)), pods: []corev1.Pod{aPod(2, initFailed("OOMKilled", ""), terminated(7, "Error", ""))}, now: 14, code: "WorkerFailed", in: `"exitCode":7`, attempt: 1},
		"pod outlived its bound":       {job: aJob(), pods: []corev1.Pod{aPod(2, overdue)}, now: 13, code: "DeadlineExceeded"},
		"and was told to stop for it":  {job: aJob(), pods: []corev1.Pod{aPod(2, receipt(interrupted), overdue)}, now: 13, code: "DeadlineExceeded", attempt: 1},
		"Job complete, nothing delivered": {
			job: aJob(ended(batchv1.JobComplete, 14)), pods: []corev1.Pod{aPod(2, runs)}, now: 24, code: "ResultLost", attempt: 1,
		},
		"a suspended Job":                    {job: aJob(ended(batchv1.JobSuspended, 1), failures(1)), now: 600},
		"suspended from the start":           {job: aJob(suspended), now: 600},
		"not resumed by the Job controller":  {job: aJob(ended(batchv1.JobSuspended, 1)), now: 600},
		"resumed":                            {job: aJob(resumed(500)), now: 501, recheck: 560},
		"resumed, no pod in time":            {job: aJob(resumed(500)), now: 560, code: "StartTimeout", explain: "job"},
		"preempted while it started":         {job: aJob(suspended), pods: []corev1.Pod{aPod(2, unschedulable)}, now: 62},
		"resumed before its old pod is gone": {job: aJob(resumed(61)), pods: []corev1.Pod{aPod(2)}, now: 62, recheck: 121},
		"preempted while it ran":             {job: aJob(suspended), pods: []corev1.Pod{aPod(2, receipt(interrupted))}, now: 62},
		"preempted a moment too late":        {job: aJob(suspended), pods: []corev1.Pod{aPod(2, receipt(agentapi.Receipt{Result: agentapi.Result{Attempt: 1, Output: "{}"}}))}, now: 62, code: "complete", attempt: 1},

		"evicted":                     {job: aJob(), pods: []corev1.Pod{aPod(2, evicted)}, now: 13, recheck: 2 + 10 + 60},
		"evicted, and the last":       {job: aJob(ended(batchv1.JobFailureTarget, 14)), pods: []corev1.Pod{aPod(2, evicted)}, now: 14, code: "Evicted", in: "no disk"},
		"evicted in all its attempts": {job: aJob(), pods: []corev1.Pod{aPod(2, evicted, disrupted), aPod(3, evicted, disrupted), aPod(4, evicted, disrupted)}, now: 13, code: "Evicted", in: "no disk", attempt: 3},
		"evicted in its only attempt": {job: aJob(once), pods: []corev1.Pod{aPod(2, receipt(interrupted), evicted)}, now: 13, code: "Evicted", in: "no disk", attempt: 1},
		"preempted":                   {job: aJob(once), pods: []corev1.Pod{aPod(2, receipt(interrupted), disrupted)}, now: 13, recheck: 12 + 10 + 60},
		"preempted in its last":       {job: aJob(ended(batchv1.JobFailed, 14)), pods: []corev1.Pod{aPod(2, disrupted, fails)}, now: 14, code: "Evicted", in: "a more important pod"},
		"preempted, again and again":  {job: aJob(), pods: []corev1.Pod{aPod(all-90, disrupted, fails), aPod(all-10, runs)}, now: all, code: "Evicted", in: "a more important pod", attempt: 2},
		"deleted by a person":         {job: aJob(once), pods: []corev1.Pod{aPod(2, receipt(interrupted))}, now: 13, recheck: 12 + 10 + 60},

		"being ended":                         {job: aJob(), pods: []corev1.Pod{aPod(2, runs, deleted(50))}, now: 79, recheck: 80},
		"being ended, and nobody hears of it": {job: aJob(), pods: []corev1.Pod{aPod(2, runs, deleted(50))}, now: 80, abandon: "pod-2"},
		"likewise, in its only attempt":       {job: aJob(once), pods: []corev1.Pod{aPod(2, runs, deleted(50), onNode("away"))}, now: 80, code: "NodeLost", in: `"node":"away"`, attempt: 1},
		"runs on and on":                      {job: aJob(), pods: []corev1.Pod{aPod(2, runs)}, now: 142, abandon: "pod-2"},
		"runs on and on, the third":           {job: aJob(failures(2)), pods: []corev1.Pod{aPod(2, runs)}, now: 142, code: "NodeLost", attempt: 3},
		"abandoned":                           {job: aJob(), pods: []corev1.Pod{aPod(2, lost)}, now: 142, code: "StartTimeout", explain: "job"},
		"abandoned a moment ago":              {job: aJob(), pods: []corev1.Pod{aPod(2, lost)}, now: 12, recheck: 2 + 10 + 60},
		"abandoned, and the last":             {job: aJob(ended(batchv1.JobFailed, 14)), pods: []corev1.Pod{aPod(2, lost)}, now: 14, code: "NodeLost", in: `"node":"away"`},
		"the node is back with a result":      {job: aJob(), pods: []corev1.Pod{aPod(2, receipt(agentapi.Receipt{Result: agentapi.Result{Attempt: 1, Output: "{}"}}), deleted(50))}, now: 200, code: "complete", attempt: 1},

		"suspended after an attempt":     {job: aJob(suspended, failures(1)), pods: []corev1.Pod{aPod(2, receipt(interrupted))}, now: 6000},
		"suspended while its pod starts": {job: aJob(suspended), pods: []corev1.Pod{aPod(2)}, now: 6000},
		"suspended, and finished before": {job: aJob(suspended), pods: []corev1.Pod{aPod(2, receipt(agentapi.Receipt{Result: agentapi.Result{Attempt: 1, Output: "{}"}}))}, now: 13, code: "complete", attempt: 1},
		"resumed, and all time passed":   {job: aJob(resumed(6000), failures(1)), now: 6000 + all, code: "StartTimeout", explain: "job"},
		"being deleted":                  {job: aJob(beingDeleted), pods: []corev1.Pod{aPod(2, receipt(crash))}, now: 200, recheck: all},
		"being deleted, and never gone":  {job: aJob(beingDeleted), pods: []corev1.Pod{aPod(2, runs)}, now: all, code: "DeadlineExceeded", attempt: 1},
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
			if string(d.Explain) != test.explain {
				t.Errorf("the events of %q may explain it, want %q", d.Explain, test.explain)
			}
			if abandoned := d.Abandon; (abandoned == nil) != (test.abandon == "") || abandoned != nil && abandoned.Name != test.abandon {
				t.Errorf("abandoned is %v, want %q", abandoned, test.abandon)
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
