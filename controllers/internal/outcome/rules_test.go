// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package outcome

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"

	"procman.dev/procman/internal/agentapi"
)

// ruleCase is a situation that a rule decides, and the decision.
type ruleCase struct {
	job    *batchv1.Job
	pods   []corev1.Pod
	events []corev1.Event // nil: they have not been read
	now    int            // in seconds, like all times here
	// likeIt is when a pod with the same requirements was last scheduled; 0 for never.
	likeIt int

	code     string // the result's errorCode; "complete" for an output
	in       string // a part of its errorDetails
	attempt  int32
	eventsOf string // UID
	fail     string // the pod's name, and the reason
	recheck  int    // 0 for none
}

type pods = []corev1.Pod

var (
	outputReceipt      = agentapi.Receipt{Result: agentapi.Result{Attempt: 1, Output: "{}"}}
	truncatedReceipt   = agentapi.Receipt{Result: agentapi.Result{Attempt: 1}, Truncated: true}
	errorReceipt       = agentapi.Receipt{Result: agentapi.Result{Attempt: 1, ErrorCode: "No"}}
	crashReceipt       = agentapi.Receipt{Result: agentapi.Result{Attempt: 1, ErrorCode: "WorkerFailed", ErrorDetails: `{"exitCode":1}`, Retry: true}}
	interruptedReceipt = agentapi.Receipt{Result: agentapi.Result{Attempt: 1, ErrorCode: "WorkerFailed", ErrorDetails: `{"signal":"SIGTERM"}`, Retry: true, Interrupted: true}}

	podCreated = newEvent("Normal", "SuccessfulCreate", "created pod", 5)
)

// allRules are the lists that Decide goes through.
var allRules = slices.Concat(Rules, OverdueRules)

// ruleCases has the rules in their order.
var ruleCases = []struct {
	rule  string
	cases map[string]ruleCase
}{
	{"JobDeleted", map[string]ruleCase{
		"its pod has crashed": {job: newJob(withDeletion), pods: pods{newPod(2, withReceipt(crashReceipt))}, now: 200, recheck: overallEnd},
	}},
	{"ResultReported", map[string]ruleCase{
		"output":                         {job: newJob(), pods: pods{newPod(2, withReceipt(outputReceipt))}, now: 13, code: "complete", attempt: 1},
		"error":                          {job: newJob(), pods: pods{newPod(2, withReceipt(errorReceipt))}, now: 13, code: "No", attempt: 1},
		"before the Job was suspended":   {job: newJob(withSuspend), pods: pods{newPod(2, withReceipt(outputReceipt))}, now: 13, code: "complete", attempt: 1},
		"long ago, and suspended":        {job: newJob(withSuspend), pods: pods{newPod(2, withReceipt(outputReceipt))}, now: 62, code: "complete", attempt: 1},
		"the lost node is back with one": {job: newJob(), pods: pods{newPod(2, withReceipt(outputReceipt), withPodDeletion(50))}, now: 200, code: "complete", attempt: 1},
	}},
	{"OutputUndelivered", map[string]ruleCase{
		"a moment ago":                {job: newJob(), pods: pods{newPod(2, withReceipt(truncatedReceipt))}, now: 13, recheck: 22},
		"a moment ago, and suspended": {job: newJob(withSuspend), pods: pods{newPod(2, withReceipt(truncatedReceipt))}, now: 13, recheck: 22},
		"10 s ago":                    {job: newJob(), pods: pods{newPod(2, withReceipt(truncatedReceipt))}, now: 22, code: "ResultLost", attempt: 1},
	}},
	{"OutOfMemory", map[string]ruleCase{
		"worker":         {job: newJob(), pods: pods{newPod(2, withTerminated(137, "OOMKilled", ""))}, now: 13, code: "OutOfMemory", attempt: 1},
		"init container": {job: newJob(), pods: pods{newPod(2, withFailedInit("OOMKilled", ""))}, now: 13, code: "OutOfMemory", in: "container agent"},
	}},
	{"CannotStart", map[string]ruleCase{
		"no agent": {job: newJob(), pods: pods{newPod(2, withTerminated(128, "StartError", "no such file"))}, now: 13, code: "WorkerFailed", in: "Embedded", attempt: 1},
		"a closed directory": {
			job: newJob(), pods: pods{newPod(2, withTerminated(128, "StartError", `chdir to cwd ("/root") set in config.json failed: permission denied`))},
			now: 13, code: "WorkerFailed", in: "must be able to enter the WORKDIR of the image", attempt: 1,
		},
	}},
	{"PodDeadline", map[string]ruleCase{
		"without a receipt":         {job: newJob(), pods: pods{newPod(2, withDeadlineExceeded)}, now: 13, code: "DeadlineExceeded"},
		"interrupted because of it": {job: newJob(), pods: pods{newPod(2, withReceipt(interruptedReceipt), withDeadlineExceeded)}, now: 13, code: "DeadlineExceeded", attempt: 1},
	}},
	{"EvictedTooOften", map[string]ruleCase{
		"all attempts": {
			job:  newJob(),
			pods: pods{newPod(2, withEviction, withDisruption), newPod(3, withEviction, withDisruption), newPod(4, withEviction, withDisruption)},
			now:  13, code: "Evicted", in: "no disk", attempt: 3,
		},
		"the only attempt": {job: newJob(withOneAttempt), pods: pods{newPod(2, withReceipt(interruptedReceipt), withEviction)}, now: 13, code: "Evicted", in: "no disk", attempt: 1},
	}},
	{"LastPodAbandoned", map[string]ruleCase{
		"Job failed": {job: newJob(withCondition(batchv1.JobFailed, 14, "")), pods: pods{newPod(2, withAbandonment)}, now: 14, code: "NodeLost", in: `"node":"node-7"`},
	}},
	{"LastPodEvicted", map[string]ruleCase{
		"by its node":   {job: newJob(withCondition(batchv1.JobFailureTarget, 14, "")), pods: pods{newPod(2, withEviction)}, now: 14, code: "Evicted", in: "no disk"},
		"by preemption": {job: newJob(withCondition(batchv1.JobFailed, 14, "")), pods: pods{newPod(2, withDisruption, withFailure)}, now: 14, code: "Evicted", in: "a more important pod"},
	}},
	{"LastFailureReported", map[string]ruleCase{
		"crash":       {job: newJob(withFailures(3), withCondition(batchv1.JobFailed, 14, "")), pods: pods{newPod(2, withReceipt(crashReceipt))}, now: 15, code: "WorkerFailed", in: `"exitCode":1`, attempt: 1},
		"interrupted": {job: newJob(withCondition(batchv1.JobFailed, 14, "")), pods: pods{newPod(2, withReceipt(interruptedReceipt))}, now: 15, code: "WorkerFailed", in: `SIGTERM`, attempt: 1},
	}},
	{"LastPodFailed", map[string]ruleCase{
		"killed":                      {job: newJob(withCondition(batchv1.JobFailed, 14, "")), pods: pods{newPod(2, withTerminated(137, "Error", ""))}, now: 14, code: "WorkerFailed", in: `"exitCode":137`, attempt: 1},
		"the end of its log":          {job: newJob(withCondition(batchv1.JobFailed, 14, "")), pods: pods{newPod(2, withTerminated(1, "Error", "exec format error"))}, now: 14, code: "WorkerFailed", in: `"stderr":"exec format error"`, attempt: 1},
		"init container, a message":   {job: newJob(withCondition(batchv1.JobFailed, 14, "")), pods: pods{newPod(2, withFailedInit("StartError", "no disk"))}, now: 14, code: "WorkerFailed", in: "failed: no disk"},
		"init container, no message":  {job: newJob(withCondition(batchv1.JobFailed, 14, "")), pods: pods{newPod(2, withFailedInit("Error", ""))}, now: 14, code: "WorkerFailed", in: "failed: Error"},
		"a sidecar ends with the pod": {job: newJob(withCondition(batchv1.JobFailed, 14, "")), pods: pods{newPod(2, withFailedInit("OOMKilled", ""), withTerminated(7, "Error", ""))}, now: 14, code: "WorkerFailed", in: `"exitCode":7`, attempt: 1},
	}},
	{"Suspended", map[string]ruleCase{
		"from the start":                        {job: newJob(withSuspend), now: 600},
		"between attempts":                      {job: newJob(withCondition(batchv1.JobSuspended, 1, ""), withFailures(1)), now: 600},
		"not yet resumed by the Job controller": {job: newJob(withCondition(batchv1.JobSuspended, 1, "")), now: 600},
		"while no node accepts its pod":         {job: newJob(withSuspend), pods: pods{newPod(2, withoutNode)}, now: 62},
		"while its pod starts":                  {job: newJob(withSuspend), pods: pods{newPod(2)}, now: 6000},
		"while it ran":                          {job: newJob(withSuspend), pods: pods{newPod(2, withReceipt(interruptedReceipt))}, now: 62},
		"after an attempt":                      {job: newJob(withSuspend, withFailures(1)), pods: pods{newPod(2, withReceipt(interruptedReceipt))}, now: 6000},
	}},
	{"PodOutlivesWorker", map[string]ruleCase{
		"a crash, a moment ago":    {job: newJob(), pods: pods{newPod(2, withReceipt(crashReceipt), withSidecar)}, now: 13, recheck: 12 + 10},
		"a crash":                  {job: newJob(), pods: pods{newPod(2, withReceipt(crashReceipt), withSidecar)}, now: 22, fail: "pod-2 WorkerEnded"},
		"a crash, the only try":    {job: newJob(withOneAttempt), pods: pods{newPod(2, withReceipt(crashReceipt), withSidecar)}, now: 22, fail: "pod-2 WorkerEnded"},
		"a kill, in the second":    {job: newJob(withFailures(1)), pods: pods{newPod(2, withReceipt(crashReceipt)), newPod(30, withTerminated(137, "Error", ""), withSidecar)}, now: 50, fail: "pod-30 WorkerEnded"},
		"another image is pulled":  {job: newJob(), pods: pods{newPod(2, withReceipt(crashReceipt), withPhase(corev1.PodPending))}, now: 22, fail: "pod-2 WorkerEnded"},
		"it is being deleted":      {job: newJob(), pods: pods{newPod(2, withReceipt(interruptedReceipt), withSidecar, withPodDeletion(50))}, now: 55, recheck: 60},
		"it should be deleted":     {job: newJob(), pods: pods{newPod(2, withReceipt(interruptedReceipt), withSidecar, withPodDeletion(50))}, now: 60, fail: "pod-2 WorkerEnded"},
		"the node's clock is late": {job: newJob(), pods: pods{newPod(-100, withReceipt(crashReceipt), withSidecar)}, now: 1, fail: "pod--100 WorkerEnded"},
	}},
	{"NoNextPod", map[string]ruleCase{
		"marked as failed":                {job: newJob(withFailures(1)), pods: pods{newPod(2, withReceipt(crashReceipt), withMark(22))}, now: 23, recheck: 22 + 10 + 60},
		"after a crash":                   {job: newJob(withFailures(1)), pods: pods{newPod(2, withReceipt(crashReceipt))}, now: 13, recheck: 12 + 10 + 60},
		"after a crash, for too long":     {job: newJob(withFailures(1)), pods: pods{newPod(2, withReceipt(crashReceipt))}, now: 82, code: "StartTimeout", eventsOf: "job", attempt: 1},
		"after a kill":                    {job: newJob(), pods: pods{newPod(2, withTerminated(137, "Error", ""))}, now: 13, recheck: 12 + 10 + 60},
		"after a failed init container":   {job: newJob(), pods: pods{newPod(2, withFailedInit("StartError", "no disk"))}, now: 13, recheck: 2 + 10 + 60},
		"after an eviction":               {job: newJob(), pods: pods{newPod(2, withEviction)}, now: 13, recheck: 2 + 10 + 60},
		"after a preemption":              {job: newJob(withOneAttempt), pods: pods{newPod(2, withReceipt(interruptedReceipt), withDisruption)}, now: 13, recheck: 12 + 10 + 60},
		"after a person deleted a pod":    {job: newJob(withOneAttempt), pods: pods{newPod(2, withReceipt(interruptedReceipt))}, now: 13, recheck: 12 + 10 + 60},
		"after a lost node":               {job: newJob(), pods: pods{newPod(2, withAbandonment)}, now: 12, recheck: 2 + 10 + 60},
		"after a lost node, for too long": {job: newJob(), pods: pods{newPod(2, withAbandonment)}, now: 142, code: "StartTimeout", eventsOf: "job"},
	}},
	{"NodeLost", map[string]ruleCase{
		"deleted, the only attempt": {job: newJob(withOneAttempt), pods: pods{newPod(2, withRunning, withPodDeletion(50), withNode("node-7"))}, now: 80, code: "NodeLost", in: `"node":"node-7"`, attempt: 1},
		"running, the third":        {job: newJob(withFailures(2)), pods: pods{newPod(2, withRunning)}, now: 142, code: "NodeLost", attempt: 3},
	}},
	{"PodAbandoned", map[string]ruleCase{
		"deleted": {job: newJob(), pods: pods{newPod(2, withRunning, withPodDeletion(50))}, now: 80, fail: "pod-2 NodeLost"},
		"running": {job: newJob(), pods: pods{newPod(2, withRunning)}, now: 142, fail: "pod-2 NodeLost"},
		"running, after two interruptions": {
			job: newJob(), pods: pods{newPod(2, withReceipt(interruptedReceipt)), newPod(20, withReceipt(interruptedReceipt)), newPod(40, withRunning)}, now: 180, fail: "pod-40 NodeLost",
		},
	}},
	{"PodDeleted", map[string]ruleCase{
		"while it ran":     {job: newJob(), pods: pods{newPod(2, withRunning, withPodDeletion(50))}, now: 79, recheck: 80},
		"while it started": {job: newJob(), pods: pods{newPod(2, withPodDeletion(50))}, now: 70, recheck: 80},
	}},
	{"ImageNameInvalid", map[string]ruleCase{
		"worker": {job: newJob(), pods: pods{newPod(2, withWaiting("InvalidImageName", "bad"))}, now: 3, code: "ImagePullFailed", in: "the-image"},
	}},
	{"PodStarting", map[string]ruleCase{
		"no status yet":              {job: newJob(), pods: pods{newPod(2)}, now: 3, recheck: 62},
		"no node yet":                {job: newJob(), pods: pods{newPod(2, withoutNode)}, now: 61, recheck: 62},
		"a pull has failed":          {job: newJob(), pods: pods{newPod(2, withWaiting("ImagePullBackOff", "no such image"))}, now: 61, recheck: 62},
		"its Job was resumed":        {job: newJob(withStartTime(61)), pods: pods{newPod(2)}, now: 62, recheck: 121},
		"others are scheduled":       {job: newJob(), pods: pods{newPod(2, withoutNode)}, now: 62, likeIt: 50, recheck: 110},
		"others, for hours":          {job: newJob(), pods: pods{newPod(2, withoutNode)}, now: 9000, likeIt: 8990, recheck: 9050},
		"others, before it was made": {job: newJob(), pods: pods{newPod(2, withoutNode)}, now: 61, likeIt: 1, recheck: 62},
		"scheduled late":             {job: newJob(), pods: pods{newPod(2, withScheduling(9000))}, now: 9001, recheck: 9060},
	}},
	{"Unschedulable", map[string]ruleCase{
		"for too long":                  {job: newJob(), pods: pods{newPod(2, withoutNode)}, now: 62, code: "Unschedulable", in: "0/1 nodes"},
		"no others for too long either": {job: newJob(), pods: pods{newPod(2, withoutNode)}, now: 9060, likeIt: 9000, code: "Unschedulable", in: "0/1 nodes"},
	}},
	{"ImageNotPulled", map[string]ruleCase{
		"no such image":       {job: newJob(), pods: pods{newPod(2, withWaiting("ImagePullBackOff", "no such image"))}, now: 62, code: "ImagePullFailed", in: "the-image"},
		"registry overloaded": {job: newJob(), pods: pods{newPod(2, withWaiting("RegistryUnavailable", "429"))}, now: 62, code: "ImagePullFailed", in: "the-image"},
		"still being pulled":  {job: newJob(), pods: pods{newPod(2, withSandbox)}, now: 62, code: "ImagePullFailed"},
	}},
	{"PodNotStarted", map[string]ruleCase{
		"unknown":                     {job: newJob(), pods: pods{newPod(2)}, now: 62, code: "StartTimeout", eventsOf: "2"},
		"a volume":                    {job: newJob(), pods: pods{newPod(2)}, events: []corev1.Event{newEvent("Warning", "FailedMount", "no secret", 3)}, now: 62, code: "StartTimeout", in: `of its type: no secret"}`},
		"container cannot be created": {job: newJob(), pods: pods{newPod(2, withWaiting("CreateContainerConfigError", "no secret"))}, now: 62, code: "StartTimeout", in: "no secret"},
		"the second attempt's":        {job: newJob(withFailures(1)), pods: pods{newPod(2, withReceipt(crashReceipt)), newPod(30)}, now: 90, code: "StartTimeout", eventsOf: "30"},
	}},
	{"JobEnding", map[string]ruleCase{
		"a moment ago": {job: newJob(withCondition(batchv1.JobFailed, 50, "")), now: 59, recheck: 60},
	}},
	{"JobDeadline", map[string]ruleCase{
		"no pod": {job: newJob(withCondition(batchv1.JobFailed, 50, "DeadlineExceeded")), now: 60, code: "DeadlineExceeded"},
	}},
	{"PodsDeleted", map[string]ruleCase{
		"no pod": {job: newJob(withCondition(batchv1.JobFailed, 50, "BackoffLimitExceeded")), now: 60, code: "WorkerFailed"},
	}},
	{"ResultMissing", map[string]ruleCase{
		"no pod":                       {job: newJob(withCondition(batchv1.JobFailed, 50, "")), now: 60, code: "ResultLost"},
		"the pod's end was not seen":   {job: newJob(withCondition(batchv1.JobComplete, 14, "")), pods: pods{newPod(2, withRunning)}, now: 24, code: "ResultLost", attempt: 1},
		"suspended after it had ended": {job: newJob(withSuspend, withCondition(batchv1.JobSuccessCriteriaMet, 14, "")), pods: pods{newPod(2, withRunning)}, now: 24, code: "ResultLost", attempt: 1},
	}},
	{"PodRunning", map[string]ruleCase{
		"the first":                      {job: newJob(), pods: pods{newPod(2, withRunning)}, now: 100, recheck: 2 + 110 + 30},
		"scheduled late":                 {job: newJob(), pods: pods{newPod(2, withScheduling(9000), withRunning)}, now: 9100, recheck: 9000 + 110 + 30},
		"the only attempt":               {job: newJob(withOneAttempt), pods: pods{newPod(2, withRunning)}, now: 100, recheck: 2 + 110 + 30},
		"after a crash":                  {job: newJob(withFailures(1)), pods: pods{newPod(40, withRunning), newPod(2, withReceipt(crashReceipt))}, now: 41, recheck: 40 + 110 + 30},
		"an older pod has a late result": {job: newJob(withFailures(1)), pods: pods{newPod(40, withRunning), newPod(2, withReceipt(outputReceipt))}, now: 41, recheck: 40 + 110 + 30},
	}},
	{"PodsUnknown", map[string]ruleCase{
		"a failed pod": {job: newJob(withFailures(1)), now: 90, recheck: overallEnd},
	}},
	{"NoPod", map[string]ruleCase{
		"not yet":                       {job: newJob(), now: 1, recheck: 60},
		"only another owner's":          {job: newJob(), pods: pods{newPod(1, withoutOwner, withReceipt(crashReceipt))}, now: 1, recheck: 60},
		"for too long":                  {job: newJob(), now: 60, code: "StartTimeout", in: "created no pod", eventsOf: "job"},
		"resumed":                       {job: newJob(withStartTime(500)), now: 501, recheck: 560},
		"resumed, for too long":         {job: newJob(withStartTime(500)), now: 560, code: "StartTimeout", eventsOf: "job"},
		"no events":                     {job: newJob(), events: []corev1.Event{}, now: 60, code: "StartTimeout", in: `of its type"}`},
		"two warnings":                  {job: newJob(), events: []corev1.Event{newEvent("Warning", "FailedCreate", "b", 9), newEvent("Warning", "FailedCreate", "a", 8)}, now: 60, code: "StartTimeout", in: `of its type: b"}`},
		"no warning":                    {job: newJob(), events: []corev1.Event{newEvent("Normal", "Suspended", "a", 8)}, now: 60, code: "StartTimeout", in: `of its type"}`},
		"its pod has just been removed": {job: newJob(), events: []corev1.Event{podCreated}, now: 100, recheck: 110},
		"removed, the next is refused":  {job: newJob(), events: []corev1.Event{newEvent("Warning", "FailedCreate", "b", 90), podCreated, newEvent("Warning", "FailedCreate", "a", 80)}, now: 100, recheck: 140},
		"removed, and refused too long": {job: newJob(), events: []corev1.Event{newEvent("Warning", "FailedCreate", "b", 90), podCreated, newEvent("Warning", "FailedCreate", "a", 80)}, now: 140, code: "StartTimeout", in: `of its type: b"}`},
		"removed, and refused before":   {job: newJob(), events: []corev1.Event{newEvent("Warning", "FailedCreate", "b", 3), podCreated}, now: 100, recheck: 110},
	}},
	{"OverdueDisrupted", map[string]ruleCase{
		"again and again": {job: newJob(), pods: pods{newPod(overallEnd-90, withDisruption, withFailure), newPod(overallEnd-10, withRunning)}, now: overallEnd, code: "Evicted", in: "a more important pod", attempt: 2},
	}},
	{"Overdue", map[string]ruleCase{
		"its Job is never deleted": {job: newJob(withDeletion), pods: pods{newPod(2, withRunning)}, now: overallEnd, code: "DeadlineExceeded", attempt: 1},
	}},
	{"OverdueWithoutPod", map[string]ruleCase{
		"between attempts":          {job: newJob(withFailures(1)), now: overallEnd, code: "StartTimeout", eventsOf: "job"},
		"between attempts, resumed": {job: newJob(withStartTime(6000), withFailures(1)), now: 6000 + overallEnd, code: "StartTimeout", eventsOf: "job"},
		"its pod was removed":       {job: newJob(), events: []corev1.Event{podCreated}, now: overallEnd, code: "StartTimeout", in: `of its type"}`},
	}},
}

func TestEveryRuleHasCases(t *testing.T) {
	var want, got []string
	for _, rule := range allRules {
		want = append(want, rule.Name)
	}
	for _, r := range ruleCases {
		if len(r.cases) > 0 {
			got = append(got, r.rule)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("rules that have cases (-want +got):\n%s", diff)
	}
}

func TestRules(t *testing.T) {
	for _, r := range ruleCases {
		for name, test := range r.cases {
			t.Run(r.rule+"/"+name, func(t *testing.T) { test.check(t, r.rule) })
		}
	}
}

func (test ruleCase) check(t *testing.T, rule string) {
	o := Observe(test.job, test.pods, at(test.now).Time)
	if test.likeIt != 0 {
		o.LastScheduled = at(test.likeIt).Time
	}
	d := o.Decide()
	if test.events != nil {
		if d.EventsOf == "" {
			t.Errorf("%s decides without events", d.Rule)
		}
		o.AddEvents(test.events)
		d = o.Decide()
	}
	if d.Rule != rule {
		t.Errorf("rule %s decides, want %s", d.Rule, rule)
	}
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
	if string(d.EventsOf) != test.eventsOf {
		t.Errorf("it asks for the events of %q, want %q", d.EventsOf, test.eventsOf)
	}
	failed := ""
	if d.Fail != nil {
		failed = d.Fail.Pod.Name + " " + d.Fail.Reason
	}
	if failed != test.fail {
		t.Errorf("it marks pod %q as failed, want %q", failed, test.fail)
	}
	recheck := time.Time{}
	if test.recheck > 0 {
		recheck = at(test.recheck).Time
	}
	if !d.RecheckAt.Equal(recheck) {
		t.Errorf("recheck at %s, want %s", d.RecheckAt, recheck)
	}
}

// TestRulesAreDocumented compares the lists with docs/process.md: the same rules in
// the same order with the same errorCodes, and the errorCodes in the order in which
// the rules use them.
func TestRulesAreDocumented(t *testing.T) {
	text, err := os.ReadFile("../../../docs/process.md")
	if err != nil {
		t.Fatal(err)
	}
	section := func(from, to string) string {
		_, rest, ok := strings.Cut(string(text), "\n"+from+"\n")
		section, _, ok2 := strings.Cut(rest, "\n"+to)
		if !ok || !ok2 {
			t.Fatalf("docs/process.md has no section %q before %q", from, to)
		}
		return section
	}
	rows := regexp.MustCompile(`(?m)^\| ([A-Z]\w+) \|.*\| (.*) \|$`)

	var documented, codes []string
	for i, row := range rows.FindAllStringSubmatch(section("## What the operator concludes", "### "), -1) {
		documented = append(documented, row[1])
		if i < len(allRules) && !strings.Contains(row[2], allRules[i].Code) {
			t.Errorf("rule %s: docs/process.md says %q, want %s", row[1], row[2], allRules[i].Code)
		}
	}
	var want, wantCodes []string
	for _, rule := range allRules {
		want = append(want, rule.Name)
		if rule.Code != "" && !slices.Contains(wantCodes, rule.Code) {
			wantCodes = append(wantCodes, rule.Code)
		}
	}
	if diff := cmp.Diff(want, documented); diff != "" {
		t.Errorf("the rules in docs/process.md (-want +got):\n%s", diff)
	}
	for _, row := range rows.FindAllStringSubmatch(section("## Error codes", "### "), -1) {
		if slices.Contains(wantCodes, row[1]) {
			codes = append(codes, row[1])
		}
	}
	if diff := cmp.Diff(wantCodes, codes); diff != "" {
		t.Errorf("the errorCodes in docs/process.md (-want +got):\n%s", diff)
	}
}

// The overall bound in docs/process.md is that of a type with all defaults.
func TestOverallBoundIsDocumented(t *testing.T) {
	job := newJob()
	job.Annotations = nil
	job.Spec.Template.Spec.ActiveDeadlineSeconds = new(int64(180 + 300 + 25 + 600))
	job.Spec.Template.Spec.TerminationGracePeriodSeconds = new(int64(25 + 5))
	bound := Observe(job, nil, start).overallBound().Sub(start)
	text, err := os.ReadFile("../../../docs/process.md")
	if err != nil {
		t.Fatal(err)
	}
	if want := "*overall* is 4005 s"; bound != 4005*time.Second || !strings.Contains(string(text), want) {
		t.Errorf("the overall bound is %s; docs/process.md must contain %q", bound, want)
	}
}
