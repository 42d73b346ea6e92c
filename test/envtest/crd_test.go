// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package envtest

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"procman.dev/procman/api/v1alpha1"
)

// wantRefusal checks that an error contains the message of a rule.
func wantRefusal(t *testing.T, err error, message string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), message) {
		t.Errorf("the error is %v, want one with %q", err, message)
	}
}

func TestProcessRules(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change  func(*v1alpha1.Process)
		message string
	}{
		"a name that is too long":    {func(p *v1alpha1.Process) { p.Name = strings.Repeat("a", 64) }, "the name of a Process has at most 63 characters"},
		"a name with a dot":          {func(p *v1alpha1.Process) { p.Name = "a.b" }, "the name of a Process has at most 63 characters"},
		"no type":                    {func(p *v1alpha1.Process) { p.Spec.Type = "" }, "spec.type"},
		"an alias for a type":        {func(p *v1alpha1.Process) { p.Spec.Type = "ocrReaders" }, "spec.type"},
		"an input that is too large": {func(p *v1alpha1.Process) { p.Spec.Input = strings.Repeat("x", 256<<10+1) }, "spec.input: Too long"},
		"two inputs":                 {func(p *v1alpha1.Process) { p.Spec.StoredInput = storedPayload() }, "input and storedInput exclude each other"},
		"a payload of 9 MiB": {func(p *v1alpha1.Process) {
			p.Spec.Input, p.Spec.StoredInput = "", storedPayload()
			p.Spec.StoredInput.Bytes = 9 << 20
		}, "less than or equal to 8388608"},
		"a payload elsewhere": {func(p *v1alpha1.Process) {
			p.Spec.Input, p.Spec.StoredInput = "", storedPayload()
			p.Spec.StoredInput.ID = "../other/" + p.Spec.StoredInput.ID[9:]
		}, "spec.storedInput.id"},
		"a lifetime below zero": {func(p *v1alpha1.Process) { p.Spec.LifetimeSeconds = -1 }, "greater than or equal to 1"},
		"a lifetime of a year":  {func(p *v1alpha1.Process) { p.Spec.LifetimeSeconds = 365 * 86400 }, "less than or equal to 2592000"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newProcess("rules")
			test.change(p)
			wantRefusal(t, kube.Create(t.Context(), p), test.message)
		})
	}
}

// storedPayload is a valid reference to a payload.
func storedPayload() v1alpha1.StoredPayload {
	return v1alpha1.StoredPayload{ID: strings.Repeat("a", 26), Bytes: 20_000, SHA256: strings.Repeat("0", 64)}
}

func TestProcessDefaults(t *testing.T) {
	t.Parallel()
	p := newProcess("defaults")
	p.Spec = v1alpha1.ProcessSpec{Type: "defaults"}
	create(t, p)
	if p.Spec.Input != "" || p.Spec.LifetimeSeconds != 1200 || p.Status.State != v1alpha1.StateProcessing {
		t.Errorf("unexpected defaults: %+v", p)
	}
	var found v1alpha1.ProcessList
	err := kube.List(t.Context(), &found, client.InNamespace(namespace), client.MatchingFieldsSelector{
		Selector: fields.SelectorFromSet(fields.Set{"spec.type": "defaults", "status.state": "processing"}),
	})
	if err != nil || len(found.Items) != 1 {
		t.Errorf("selecting by type and state finds %d processes, want 1; error %v", len(found.Items), err)
	}
}

func TestProcessSpecIsImmutable(t *testing.T) {
	t.Parallel()
	p := newProcess("immutable")
	p.Spec.Type = "no-such-type"
	create(t, p)
	for _, patch := range []string{
		`{"spec":{"input":"{}"}}`,
		`{"spec":{"type":"other"}}`,
		`{"spec":{"lifetimeSeconds":5}}`,
		`{"spec":{"labels":{"a":"1"}}}`,
	} {
		wantRefusal(t, kube.Patch(t.Context(), p.DeepCopy(), client.RawPatch(types.MergePatchType, []byte(patch))), "spec is immutable: create another Process instead")
	}
}

// The labels of a process can be any text, within bounds.
func TestProcessLabels(t *testing.T) {
	t.Parallel()
	many := map[string]string{}
	for i := range 17 {
		many[fmt.Sprintf("label-%d", i)] = ""
	}
	const bounds = "the name of a label has at most 64 characters, its value at most 256"
	for name, test := range map[string]struct {
		labels  map[string]string
		message string // "" if they are accepted
	}{
		"any text":     {map[string]string{"user": "Jörg / Ünal & Söhne", "empty": ""}, ""},
		"the longest":  {map[string]string{strings.Repeat("a", 64): strings.Repeat("ä", 256)}, ""},
		"a long name":  {map[string]string{strings.Repeat("a", 65): "x"}, bounds},
		"a long value": {map[string]string{"a": strings.Repeat("x", 257)}, bounds},
		"seventeen":    {many, "must have at most 16 items"},
	} {
		t.Run(name, func(t *testing.T) {
			p := newProcess("labels-" + strings.ReplaceAll(name, " ", "-"))
			p.Spec.Type, p.Spec.Labels = "labels-test", test.labels
			if err := kube.Create(t.Context(), p); test.message != "" || err != nil {
				wantRefusal(t, err, test.message)
			}
		})
	}
}

func TestTerminalIsFinal(t *testing.T) {
	t.Parallel()
	p := newProcess("terminal")
	p.Spec.Type = "terminal-test"
	create(t, p)
	status := func(patch string) error {
		return kube.Status().Patch(t.Context(), p.DeepCopy(), client.RawPatch(types.MergePatchType, []byte(`{"status":`+patch+`}`)))
	}
	wantRefusal(t, status(`{"state":"complete"}`), "a complete process has an output")
	wantRefusal(t, status(`{"state":"error"}`), "a process in error has an errorCode")
	wantRefusal(t, status(`{"state":"done"}`), "Unsupported value")
	wantRefusal(t, status(`{"errorCode":"two words"}`), "should match")
	wantRefusal(t, status(`{"percentComplete":101}`), "less than or equal to 100")
	const (
		finished  = `{"type":"Finished","status":"True","reason":"Complete","message":"","lastTransitionTime":"2026-01-01T12:00:00Z"}`
		delivered = `{"type":"Delivered","status":"True","reason":"Sent","message":"","lastTransitionTime":"2026-01-01T12:00:01Z"}`
		failed    = `{"type":"Delivered","status":"False","reason":"NoAnswer","message":"","lastTransitionTime":"2026-01-01T12:00:02Z"}`
	)
	allowed := func(patches ...string) {
		t.Helper()
		for _, patch := range patches {
			if err := status(patch); err != nil {
				t.Fatalf("%s: %v", patch, err)
			}
		}
	}
	const stored = `{"id":"aaaaaaaaaaaaaaaaaaaaaaaaaa","bytes":20000,"sha256":"0000000000000000000000000000000000000000000000000000000000000000"}`
	wantRefusal(t, status(`{"state":"complete","output":"{}","storedOutput":`+stored+`}`), "output and storedOutput exclude each other")
	allowed(`{"percentComplete":50}`, `{"startTime":"2026-01-01T11:00:00Z"}`,
		`{"state":"complete","output":"{}","attempts":1,"startTime":"2026-01-01T12:00:00Z","completionTime":"2026-01-01T12:00:00Z",`+
			`"expirationTime":"2026-01-01T12:00:00Z","jobName":"job","conditions":[`+finished+`]}`)
	for _, change := range []string{
		`{"state":"processing"}`, `{"state":null}`, `{"output":"{\"a\":1}"}`, `{"output":null,"state":"error","errorCode":"No"}`, `{"output":null,"storedOutput":` + stored + `}`, `{"errorCode":"No"}`, `{"errorDetails":"{}"}`, `{"stderr":"late"}`,
		`{"percentComplete":60}`, `{"percentComplete":null}`, `{"attempts":2}`, `{"attempts":null}`, `{"startTime":"2026-01-01T12:00:01Z"}`, `{"startTime":null}`,
		`{"completionTime":"2026-01-01T12:00:01Z"}`, `{"expirationTime":"2026-01-01T12:00:01Z"}`, `{"jobName":"other"}`, `{"jobName":null}`,
	} {
		wantRefusal(t, status(change), "the result of a finished process cannot change")
	}
	// Other conditions can be added and changed; Finished stays as it is.
	const frozen = "the condition Finished cannot change once it is True"
	wantRefusal(t, status(`{"conditions":null}`), frozen)
	wantRefusal(t, status(`{"conditions":[`+delivered+`]}`), frozen)
	wantRefusal(t, status(`{"conditions":[`+strings.Replace(finished, `"status":"True"`, `"status":"False"`, 1)+`]}`), frozen)
	wantRefusal(t, status(`{"conditions":[`+strings.Replace(finished, `"reason":"Complete"`, `"reason":"Other"`, 1)+`]}`), frozen)
	allowed(`{"conditions":[`+finished+`,`+delivered+`]}`, `{"conditions":[`+failed+`,`+finished+`]}`, `{"conditions":[`+finished+`]}`)
}

// An output in the store is as final as one in the Process.
func TestStoredOutputIsFinal(t *testing.T) {
	t.Parallel()
	p := newProcess("stored-output-is-final")
	p.Spec.Type = "terminal-test"
	create(t, p)
	p.Status.State, p.Status.StoredOutput = v1alpha1.StateComplete, storedPayload()
	if err := kube.Status().Update(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	for _, change := range []string{
		`{"storedOutput":{"id":"bbbbbbbbbbbbbbbbbbbbbbbbbb"}}`, `{"storedOutput":{"bytes":20001}}`, `{"storedOutput":null,"output":"{}"}`,
	} {
		patch := client.RawPatch(types.MergePatchType, []byte(`{"status":`+change+`}`))
		wantRefusal(t, kube.Status().Patch(t.Context(), p.DeepCopy(), patch), "the result of a finished process cannot change")
	}
}

// A process that is not finished can get, change and lose conditions.
func TestConditionsBeforeTheEnd(t *testing.T) {
	t.Parallel()
	p := newProcess("conditions-before-the-end")
	p.Spec.Type = "terminal-test"
	create(t, p)
	for _, conditions := range []string{
		`[{"type":"Launched","status":"False","reason":"Refused","message":"","lastTransitionTime":"2026-01-01T12:00:00Z"}]`,
		`[{"type":"Launched","status":"False","reason":"Refused","message":"quota","lastTransitionTime":"2026-01-01T12:00:00Z"}]`, `null`,
	} {
		if err := kube.Status().Patch(t.Context(), p.DeepCopy(), client.RawPatch(types.MergePatchType, []byte(`{"status":{"conditions":`+conditions+`}}`))); err != nil {
			t.Fatalf("%s: %v", conditions, err)
		}
	}
}

func TestProcessTypeRules(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change  func(*v1alpha1.ProcessType)
		message string
	}{
		"a name with a dot":       {func(pt *v1alpha1.ProcessType) { pt.Name = "a.b" }, "the name of a ProcessType has at most 63 characters"},
		"no image":                {func(pt *v1alpha1.ProcessType) { pt.Spec.Image = "" }, "spec.image"},
		"an alias with a slash":   {func(pt *v1alpha1.ProcessType) { pt.Spec.Aliases = []string{"a/b"} }, "spec.aliases[0]"},
		"an alias twice":          {func(pt *v1alpha1.ProcessType) { pt.Spec.Aliases = []string{"a", "a"} }, "Duplicate value"},
		"a pause above an hour":   {func(pt *v1alpha1.ProcessType) { pt.Spec.BackoffSeconds = 3601 }, "less than or equal to 3600"},
		"eleven attempts":         {func(pt *v1alpha1.ProcessType) { pt.Spec.Attempts = 11 }, "less than or equal to 10"},
		"a timeout over a day":    {func(pt *v1alpha1.ProcessType) { pt.Spec.TimeoutSeconds = 86401 }, "less than or equal to 86400"},
		"an output limit of 9MiB": {func(pt *v1alpha1.ProcessType) { pt.Spec.Limits.OutputBytes = 9 << 20 }, "less than or equal to 8388608"},
		"a scratch of a byte":     {func(pt *v1alpha1.ProcessType) { pt.Spec.Limits.ScratchBytes = 1 }, "greater than or equal to 1048576"},
		"an empty command":        {func(pt *v1alpha1.ProcessType) { pt.Spec.Command = []string{""} }, "spec.command[0]"},
		"an unknown injection":    {func(pt *v1alpha1.ProcessType) { pt.Spec.Agent = "Magic" }, "Unsupported value"},
		"an unknown pull policy":  {func(pt *v1alpha1.ProcessType) { pt.Spec.ImagePullPolicy = "Sometimes" }, "Unsupported value"},
		"stderr for anybody else": {func(pt *v1alpha1.ProcessType) { pt.Spec.Stderr = "Everywhere" }, "Unsupported value"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pt := &v1alpha1.ProcessType{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "type-rules"}, Spec: newType("").Spec}
			test.change(pt)
			wantRefusal(t, kube.Create(t.Context(), pt), test.message)
		})
	}
}

func TestTemplateRules(t *testing.T) {
	t.Parallel()
	labels := func(key string) func(*v1alpha1.WorkerTemplate) {
		return func(w *v1alpha1.WorkerTemplate) { w.Labels = map[string]v1alpha1.LabelValue{key: "x"} }
	}
	annotations := func(key string) func(*v1alpha1.WorkerTemplate) {
		return func(w *v1alpha1.WorkerTemplate) { w.Annotations = map[string]v1alpha1.AnnotationValue{key: "x"} }
	}
	volumes := func(volumes ...v1alpha1.Volume) func(*v1alpha1.WorkerTemplate) {
		return func(w *v1alpha1.WorkerTemplate) { w.Volumes = volumes }
	}
	keys := v1alpha1.SecretVolume{SecretName: "keys"}
	mounted := func(mounts ...v1alpha1.VolumeMount) func(*v1alpha1.WorkerTemplate) {
		return func(w *v1alpha1.WorkerTemplate) {
			w.Volumes = []v1alpha1.Volume{{Name: "keys", Secret: keys}}
			w.VolumeMounts = mounts
		}
	}
	at := func(path string) func(*v1alpha1.WorkerTemplate) {
		return mounted(v1alpha1.VolumeMount{Name: "keys", MountPath: path})
	}
	env := func(v ...v1alpha1.EnvVar) func(*v1alpha1.WorkerTemplate) {
		return func(w *v1alpha1.WorkerTemplate) { w.Env = v }
	}
	const taken = "mountPath must not be, be inside, or contain /process, /procman, /tmp, /var/run/procman, /dev, /proc or /sys; it can be /dev/shm"
	shared := func(medium v1alpha1.VolumeMedium) func(*v1alpha1.WorkerTemplate) {
		return func(w *v1alpha1.WorkerTemplate) {
			w.Volumes = []v1alpha1.Volume{{Name: "shared", EmptyDir: &v1alpha1.EmptyDirVolume{Medium: medium, SizeLimit: resource.MustParse("1Gi")}}}
			w.VolumeMounts = []v1alpha1.VolumeMount{{Name: "shared", MountPath: "/dev/shm"}}
		}
	}
	for name, test := range map[string]struct {
		change  func(*v1alpha1.WorkerTemplate)
		message string // "" if it is accepted
	}{
		"a label":                      {labels("team"), ""},
		"a label with a domain":        {labels("notkubernetes.io/a"), ""},
		"a label of Kueue's":           {labels("kueue.x-k8s.io/queue-name"), "labels under k8s.io are refused; put those for Kueue on the type itself"},
		"a label of kubernetes.io":     {labels("kubernetes.io/a"), "labels under kubernetes.io are refused"},
		"a label below kubernetes.io":  {labels("batch.kubernetes.io/job-name"), "labels under kubernetes.io are refused"},
		"a label of an application":    {labels("app.kubernetes.io/name"), ""},
		"a label of the autoscaler":    {labels("cluster-autoscaler.kubernetes.io/a"), ""},
		"a label that looks like one":  {labels("x.app.kubernetes.io/name"), "labels under kubernetes.io are refused"},
		"a label of kubectl":           {labels("kubectl.kubernetes.io/a"), "labels under kubernetes.io are refused"},
		"a label below k8s.io":         {labels("node.k8s.io/a"), "labels under k8s.io are refused"},
		"a label of the product":       {labels("procman.dev/process"), "labels under procman.dev are reserved"},
		"seventeen labels":             {func(w *v1alpha1.WorkerTemplate) { w.Labels = entries[v1alpha1.LabelValue](17) }, "at most 16"},
		"an annotation":                {annotations("registry.example/a"), ""},
		"an annotation of AppArmor's":  {annotations("container.apparmor.security.beta.kubernetes.io/worker"), "annotations under kubernetes.io are refused"},
		"safe to evict":                {annotations("cluster-autoscaler.kubernetes.io/safe-to-evict"), ""},
		"an annotation of Helm's":      {annotations("app.kubernetes.io/managed-by"), ""},
		"the default container":        {annotations("kubectl.kubernetes.io/default-container"), "annotations under kubernetes.io are refused"},
		"the cost of a deletion":       {annotations("controller.kubernetes.io/pod-deletion-cost"), "annotations under kubernetes.io are refused"},
		"an annotation of k8s.io":      {annotations("k8s.io/a"), "annotations under k8s.io are refused"},
		"an annotation of the product": {annotations("procman.dev/start-timeout-seconds"), "annotations under procman.dev are reserved"},
		"a volume":                     {volumes(v1alpha1.Volume{Name: "keys", Secret: keys}), ""},
		"a volume without a kind":      {volumes(v1alpha1.Volume{Name: "none"}), "exactly one of the fields in [emptyDir configMap secret persistentVolumeClaim image] must be set"},
		"a volume of two kinds":        {volumes(v1alpha1.Volume{Name: "two", Secret: keys, ConfigMap: v1alpha1.ConfigMapVolume{Name: "a"}}), "exactly one of the fields in"},
		"a volume with our name":       {volumes(v1alpha1.Volume{Name: "token", Secret: keys}), "the volume names process, tmp, token and agent are reserved"},
		"two volumes of a name":        {volumes(v1alpha1.Volume{Name: "a", Secret: keys}, v1alpha1.Volume{Name: "a", Secret: keys}), "Duplicate value"},
		"a mount":                      {at("/keys/a"), ""},
		"a mount beside ours":          {at("/processes"), ""},
		"a mount without a volume":     {mounted(v1alpha1.VolumeMount{Name: "other", MountPath: "/a"}), "every volumeMount must name one of volumes"},
		"two mounts of a path":         {mounted(v1alpha1.VolumeMount{Name: "keys", MountPath: "/a"}, v1alpha1.VolumeMount{Name: "keys", MountPath: "/a", SubPath: "b"}), "Duplicate value"},
		"a mount that is relative":     {at("keys"), "should match"},
		"a mount of the root":          {at("/"), "spec.template.volumeMounts[0].mountPath"},
		"a mount with dots":            {at("/a/../process"), "mountPath must not contain . or .."},
		"a mount at /process":          {at("/process"), taken},
		"a mount in /process":          {at("/process/a"), taken},
		"a mount at the agent":         {at("/procman/agent"), taken},
		"a mount in /tmp":              {at("/tmp/cache"), taken},
		"a mount at the token":         {at("/var/run/procman"), taken},
		"a mount over the token":       {at("/run/procman/token"), taken},
		"a mount above the token":      {at("/var"), taken},
		"a mount in /proc":             {at("/proc/sys"), taken},
		"memory at /dev/shm":           {shared(v1alpha1.MediumMemory), ""},
		"a disk at /dev/shm":           {shared(v1alpha1.MediumDisk), ""},
		"a Secret at /dev/shm":         {at("/dev/shm"), "the volume at /dev/shm must be an emptyDir"},
		"a mount in /dev/shm":          {at("/dev/shm/a"), taken},
		"a mount at /dev":              {at("/dev"), taken},
		"a path out of a volume":       {mounted(v1alpha1.VolumeMount{Name: "keys", MountPath: "/a", SubPath: "b/../../c"}), "subPath must not contain .."},
		"an unknown access":            {mounted(v1alpha1.VolumeMount{Name: "keys", MountPath: "/a", Access: "Append"}), "Unsupported value"},
		"a variable":                   {env(v1alpha1.EnvVar{Name: "PROCESS", Value: new("")}), ""},
		"a variable of ours":           {env(v1alpha1.EnvVar{Name: "PROCMAN_TIMEOUT_SECONDS", Value: new("1")}), "names that begin with PROCESS_ or PROCMAN_ are reserved"},
		"a variable of the contract":   {env(v1alpha1.EnvVar{Name: "PROCESS_ID", Value: new("1")}), "names that begin with PROCESS_ or PROCMAN_ are reserved"},
		"a variable twice":             {env(v1alpha1.EnvVar{Name: "A"}, v1alpha1.EnvVar{Name: "A"}), "Duplicate value"},
		"an invalid variable name":     {env(v1alpha1.EnvVar{Name: "A=B"}), "should match"},
		"a variable of two values":     {env(v1alpha1.EnvVar{Name: "A", Value: new("1"), ValueFrom: v1alpha1.EnvSource{SecretKeyRef: v1alpha1.KeyRef{Name: "a", Key: "b"}}}), "a variable must not have both value and valueFrom"},
		"a variable from two sources":  {env(v1alpha1.EnvVar{Name: "A", ValueFrom: v1alpha1.EnvSource{SecretKeyRef: v1alpha1.KeyRef{Name: "a", Key: "b"}, ConfigMapKeyRef: v1alpha1.KeyRef{Name: "a", Key: "b"}}}), "exactly one of the fields in [secretKeyRef configMapKeyRef] must be set"},
		"a user below zero":            {func(w *v1alpha1.WorkerTemplate) { w.SecurityContext.RunAsUser = new(int64(-1)) }, "greater than or equal to 0"},
		"a capability with CAP_":       {func(w *v1alpha1.WorkerTemplate) { w.SecurityContext.AddCapabilities = []v1alpha1.Capability{"chown"} }, "should match"},
		"an unknown escalation":        {func(w *v1alpha1.WorkerTemplate) { w.SecurityContext.PrivilegeEscalation = "Perhaps" }, "Unsupported value"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pt := newType("template-rules")
			test.change(&pt.Spec.Template)
			err := kube.Create(t.Context(), pt, client.DryRunAll)
			if test.message == "" && err != nil {
				t.Errorf("refused: %v", err)
			}
			if test.message != "" {
				wantRefusal(t, err, test.message)
			}
		})
	}
}

// TestManifestRules tests manifests that the Go types cannot express.
func TestManifestRules(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ spec, message string }{
		"an emptyDir without a bound": {`{"template":{"volumes":[{"name":"a","emptyDir":{}}]}}`, "spec.template.volumes[0].emptyDir.sizeLimit: Required value"},
		"an emptyDir of no size":      {`{"template":{"volumes":[{"name":"a","emptyDir":{"sizeLimit":0}}]}}`, "sizeLimit must be more than 0"},
		"an emptyDir of 0Gi":          {`{"template":{"volumes":[{"name":"a","emptyDir":{"sizeLimit":"0Gi"}}]}}`, "sizeLimit must be more than 0"},
		"a directory of the node":     {`{"template":{"volumes":[{"name":"a","hostPath":{"path":"/"}}]}}`, "exactly one of the fields in"},
		"an empty template":           {`{"template":{}}`, "spec.template in body should have at least 1 properties"},
		"a schema that is a string":   {`{"inputSchema":"string"}`, "spec.inputSchema"},
		"an env of a field":           {`{"template":{"env":[{"name":"A","valueFrom":{"fieldRef":{"fieldPath":"spec.nodeName"}}}]}}`, "exactly one of the fields in"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var spec map[string]any
			if err := json.Unmarshal([]byte(test.spec), &spec); err != nil {
				t.Fatal(err)
			}
			spec["image"] = "worker:1"
			manifest := &unstructured.Unstructured{Object: map[string]any{
				"apiVersion": "procman.dev/v1alpha1", "kind": "ProcessType",
				"metadata": map[string]any{"namespace": namespace, "name": "manifest"}, "spec": spec,
			}}
			wantRefusal(t, kube.Create(t.Context(), manifest, client.DryRunAll), test.message)
		})
	}
}

// entries returns a map with n entries.
func entries[V ~string](n int) map[string]V {
	m := map[string]V{}
	for i := range n {
		m[fmt.Sprintf("key-%d", i)] = "x"
	}
	return m
}
