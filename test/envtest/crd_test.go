package envtest

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"procman.dev/procman/api/v1alpha1"
)

// refused asserts that an error says why, in the rule's own words.
func refused(t *testing.T, err error, message string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), message) {
		t.Errorf("got %v, want a refusal with %q", err, message)
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
		"an input that is too large": {func(p *v1alpha1.Process) { p.Spec.Input = strings.Repeat("x", 1<<20+1) }, "spec.input: Too long"},
		"a lifetime below zero":      {func(p *v1alpha1.Process) { p.Spec.LifetimeSeconds = -1 }, "greater than or equal to 1"},
		"a lifetime of a year":       {func(p *v1alpha1.Process) { p.Spec.LifetimeSeconds = 365 * 86400 }, "less than or equal to 2592000"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newProcess("rules")
			test.change(p)
			refused(t, kube.Create(t.Context(), p), test.message)
		})
	}
}

func TestProcessDefaults(t *testing.T) {
	t.Parallel()
	p := newProcess("defaults")
	p.Spec = v1alpha1.ProcessSpec{Type: "defaults"}
	create(t, p)
	if p.Spec.Input != "{}" || p.Spec.LifetimeSeconds != 1200 || p.Status.State != v1alpha1.StateProcessing {
		t.Errorf("created as %+v", p)
	}
	var found v1alpha1.ProcessList
	err := kube.List(t.Context(), &found, client.InNamespace(namespace), client.MatchingFieldsSelector{
		Selector: fields.SelectorFromSet(fields.Set{"spec.type": "defaults", "status.state": "processing"}),
	})
	if err != nil || len(found.Items) != 1 {
		t.Errorf("selected by its fields: %d, %v", len(found.Items), err)
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
	} {
		refused(t, kube.Patch(t.Context(), p.DeepCopy(), client.RawPatch(types.MergePatchType, []byte(patch))), "spec is immutable: create another Process instead")
	}
}

func TestTerminalIsTerminal(t *testing.T) {
	t.Parallel()
	p := newProcess("terminal")
	p.Spec.Type = "terminal-test"
	create(t, p)
	status := func(patch string) error {
		return kube.Status().Patch(t.Context(), p.DeepCopy(), client.RawPatch(types.MergePatchType, []byte(`{"status":`+patch+`}`)))
	}
	refused(t, status(`{"state":"complete"}`), "a complete process has an output")
	refused(t, status(`{"state":"error"}`), "a process in error has an errorCode")
	refused(t, status(`{"state":"done"}`), "Unsupported value")
	refused(t, status(`{"errorCode":"two words"}`), "should match")
	refused(t, status(`{"percentComplete":101}`), "less than or equal to 100")
	for _, fine := range []string{`{"percentComplete":50}`, `{"state":"complete","output":"{}"}`} {
		if err := status(fine); err != nil {
			t.Fatal(err)
		}
	}
	for _, change := range []string{`{"state":"processing"}`, `{"output":"{\"a\":1}"}`, `{"state":"error","errorCode":"No"}`, `{"percentComplete":60}`} {
		refused(t, status(change), "a finished process does not change")
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
		"no command":              {func(pt *v1alpha1.ProcessType) { pt.Spec.Command = nil }, "spec.command"},
		"an alias with a slash":   {func(pt *v1alpha1.ProcessType) { pt.Spec.Aliases = []string{"a/b"} }, "spec.aliases[0]"},
		"an alias twice":          {func(pt *v1alpha1.ProcessType) { pt.Spec.Aliases = []string{"a", "a"} }, "Duplicate value"},
		"eleven attempts":         {func(pt *v1alpha1.ProcessType) { pt.Spec.Attempts = 11 }, "less than or equal to 10"},
		"a timeout over a day":    {func(pt *v1alpha1.ProcessType) { pt.Spec.TimeoutSeconds = 86401 }, "less than or equal to 86400"},
		"an output limit of 2MiB": {func(pt *v1alpha1.ProcessType) { pt.Spec.Limits.OutputBytes = 2 << 20 }, "less than or equal to 1048576"},
		"an unknown delivery":     {func(pt *v1alpha1.ProcessType) { pt.Spec.Agent = "Magic" }, "Unsupported value"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pt := &v1alpha1.ProcessType{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "type-rules"}, Spec: newType("").Spec}
			test.change(pt)
			refused(t, kube.Create(t.Context(), pt), test.message)
		})
	}
}
