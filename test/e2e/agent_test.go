// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"procman.dev/procman/api/v1alpha1"
)

// registerShell registers a type whose worker is a shell script, in an image that
// has a shell.
func registerShell(t *testing.T, name, script string, change func(*v1alpha1.ProcessTypeSpec)) {
	t.Helper()
	registerEcho(t, name, func(s *v1alpha1.ProcessTypeSpec) {
		s.Image, s.Command, s.InputSchema = "procman.local/ocr-worker:dev", []string{"/bin/sh", "-c", script}, nil
		if change != nil {
			change(s)
		}
	})
}

// injectionOf returns how the agent got into the only pod of a process.
func injectionOf(t *testing.T, id string) v1alpha1.AgentInjection {
	t.Helper()
	pods := workerPods(t, id)
	if len(pods) != 1 {
		t.Fatalf("process %s has %d pods, want 1", id, len(pods))
	}
	spec := pods[0].Spec
	for _, v := range spec.Volumes {
		if v.Image != nil {
			return v1alpha1.AgentImageVolume
		}
	}
	if len(spec.InitContainers) > 0 {
		return v1alpha1.AgentInitContainer
	}
	return v1alpha1.AgentEmbedded
}

func TestInjectionOfTheAgent(t *testing.T) {
	t.Parallel()
	for processType, test := range map[string]struct{ spec, want v1alpha1.AgentInjection }{
		"echo-initcontainer": {v1alpha1.AgentInitContainer, v1alpha1.AgentInitContainer},
		"echo-imagevolume":   {v1alpha1.AgentImageVolume, v1alpha1.AgentImageVolume},
		"echo-embedded":      {v1alpha1.AgentEmbedded, v1alpha1.AgentEmbedded},
	} {
		t.Run(processType, func(t *testing.T) {
			t.Parallel()
			registerEcho(t, processType, func(s *v1alpha1.ProcessTypeSpec) { s.Agent = test.spec })
			id := post(t, processType, `{"a":1}`)
			awaitComplete(t, processType, id)
			if got := injectionOf(t, id); got != test.want {
				t.Errorf("the agent was injected by %s, want %s", got, test.want)
			}
		})
	}
}

// TestImageVolumesAreDetected: the nodes of this cluster support image volumes, so the
// operator's probe must find that. Processes complete before the probe has finished,
// too. The test is not parallel: a probe that gets no CPU reports that image volumes
// do not work.
func TestImageVolumesAreDetected(t *testing.T) {
	registerEcho(t, "echo-default", func(s *v1alpha1.ProcessTypeSpec) { s.Agent = "" })
	eventually(t, 2*time.Minute, "a type without an agent setting gets the agent by an image volume", func() bool {
		id := post(t, "echo-default", `{"a":1}`)
		awaitComplete(t, "echo-default", id)
		return injectionOf(t, id) == v1alpha1.AgentImageVolume
	})
	eventually(t, time.Minute, "the probe's pod is deleted", func() bool {
		var pods corev1.PodList
		if err := kube.List(t.Context(), &pods, client.InNamespace(workNamespace), client.MatchingLabels{"app.kubernetes.io/name": "procman-agent-probe"}); err != nil {
			t.Fatal(err)
		}
		return len(pods.Items) == 0
	})
}

// TestWorkerEnvironment checks what docs/worker-contract.md promises to a worker.
func TestWorkerEnvironment(t *testing.T) {
	t.Parallel()
	registerShell(t, "shell-sees", `
		try() { if "$@" 2>/dev/null; then echo true; else echo false; fi; }
		{
			printf '{"user":"%s","input":%s,"attempt":"%s","type":"%s",' "$(id -u):$(id -g)" "$(cat "$PROCESS_INPUT_FILE")" "$PROCESS_ATTEMPT" "$PROCESS_TYPE"
			printf '"files":["%s","%s","%s","%s"],' "$PROCESS_INPUT_FILE" "$PROCESS_OUTPUT_FILE" "$PROCESS_ERROR_FILE" "$PROCESS_PROGRESS_FILE"
			printf '"root":%s,"tmp":%s,"process":%s,' "$(try touch /here)" "$(try touch /tmp/here)" "$(try touch /process/here)"
			printf '"settings":"%s","core":"%s","stdin":"%s",' "$(env | grep -c PROCMAN_)" "$(ulimit -c)" "$(cat | wc -c)"
			printf '"apiToken":%s,"caps":"%s","directory":"%s"}' "$(try test -e /var/run/secrets/kubernetes.io)" "$(awk '/CapEff/ {print $2}' /proc/self/status)" "$PWD"
		} >"$PROCESS_OUTPUT_FILE"
		echo "this is the log" && echo "and this" >&2`, nil)
	var got, want any
	if err := json.Unmarshal(awaitComplete(t, "shell-sees", post(t, "shell-sees", `{"n":1.0}`)).Output, &got); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(`{
		"user":"65532:65532","input":{"n":1.0},"attempt":"1","type":"shell-sees",
		"files":["/process/input.json","/process/output.json","/process/error.json","/process/progress"],
		"root":false,"tmp":true,"process":true,
		"settings":"0","core":"0","stdin":"0","apiToken":false,"caps":"0000000000000000","directory":"/"}`), &want); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestOutputIsRefused(t *testing.T) {
	t.Parallel()
	type shell struct {
		script, code string
		details      []string
	}
	for name, test := range map[string]shell{
		"endless": {`exec head -c 10G /dev/zero >"$PROCESS_OUTPUT_FILE"`, "OutputTooLarge", []string{`"maxBytes":1000`}},
		"full":    {`head -c 10G /dev/zero >"$PROCESS_OUTPUT_FILE" || exit 1`, "OutputTooLarge", []string{`"maxBytes":1000`}},
		"link":    {`ln -s /etc/passwd "$PROCESS_OUTPUT_FILE"`, "OutputInvalid", []string{"symbolic link"}},
		"pipe":    {`mkfifo "$PROCESS_OUTPUT_FILE"`, "OutputInvalid", []string{"not a regular file"}},
		"twice":   {`echo '{"a":{"b":1,"b":2}}' >"$PROCESS_OUTPUT_FILE"`, "OutputInvalid", []string{`"at":"output.a.b"`}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			processType := "shell-" + name
			registerShell(t, processType, test.script, func(s *v1alpha1.ProcessTypeSpec) {
				s.TimeoutSeconds, s.Limits.OutputBytes = 60, 1000
				s.Template.Resources.Limits = corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("128Mi")}
			})
			id := post(t, processType, `{}`)
			a := awaitError(t, processType, id, test.code)
			for _, want := range test.details {
				if !strings.Contains(string(a.ErrorDetails), want) {
					t.Errorf("errorDetails are %s, want %s in them", a.ErrorDetails, want)
				}
			}
			s := getProcess(t, id).Status
			if s.Attempts == nil || *s.Attempts != 1 {
				t.Errorf("attempts are %v, want 1", s.Attempts)
			}
			t.Logf("%s after %s: %s", a.ErrorCode, s.CompletionTime.Sub(s.StartTime.Time), a.ErrorDetails)
		})
	}
}

func TestOutputIsValidatedAgainstTheSchema(t *testing.T) {
	t.Parallel()
	registerEcho(t, "echo-schema", func(s *v1alpha1.ProcessTypeSpec) {
		s.OutputSchema = &apiextensionsv1.JSON{Raw: []byte(`{"type":"object","properties":{"lines":{"type":"array","items":{"type":"string"}}}}`)}
	})
	awaitComplete(t, "echo-schema", post(t, "echo-schema", `{"echo":{"output":{"lines":["a"]}}}`))
	for output, want := range map[string]string{
		`{"lines":[1]}`: `{"in":"output","at":"output.lines[0]","expected":{"type":"string"},`,
		`{"more":1}`:    `{"in":"output","at":"output.more",`,
	} {
		a := awaitError(t, "echo-schema", post(t, "echo-schema", `{"echo":{"output":`+output+`}}`), "OutputInvalid")
		if !strings.HasPrefix(string(a.ErrorDetails), want) {
			t.Errorf("errorDetails are %s, want %s", a.ErrorDetails, want)
		}
	}
}
