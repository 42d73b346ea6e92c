package processtype

import (
	"strings"
	"testing"
	"time"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"procman.dev/procman/api/v1alpha1"
)

// named is a type created so many seconds after the first, with aliases.
func named(name string, seconds int64, aliases ...string) v1alpha1.ProcessType {
	return v1alpha1.ProcessType{
		ObjectMeta: metav1.ObjectMeta{Name: name, CreationTimestamp: metav1.NewTime(time.Unix(1e9+seconds, 0))},
		Spec:       v1alpha1.ProcessTypeSpec{Aliases: aliases},
	}
}

func TestJudge(t *testing.T) {
	broken := named("broken", 0)
	broken.Spec.OutputSchema = &apiextensionsv1.JSON{Raw: []byte(`{"type":"objekt"}`)}
	for name, test := range map[string]struct {
		of      v1alpha1.ProcessType
		others  []v1alpha1.ProcessType
		beyond  string // the policy
		status  metav1.ConditionStatus
		reason  string
		message string
	}{
		"fine":                       {named("a", 0, "x"), []v1alpha1.ProcessType{named("b", 0, "y")}, "", "True", "Accepted", "can be started"},
		"a schema that is none":      {broken, nil, "", "False", "InvalidSchema", "spec.outputSchema: "},
		"more than the policy has":   {named("a", 0, "x"), []v1alpha1.ProcessType{named("b", 9, "x")}, "spec.template: no", "False", "PolicyViolation", "spec.template: no"},
		"an alias of an older type":  {named("a", 5, "x", "z"), []v1alpha1.ProcessType{named("b", 0, "x")}, "", "True", "AliasTaken", `"x" is b's`},
		"an alias of a younger type": {named("a", 0, "x"), []v1alpha1.ProcessType{named("b", 5, "x")}, "", "True", "Accepted", ""},
		"of the same second":         {named("b", 0, "x"), []v1alpha1.ProcessType{named("a", 0, "x")}, "", "True", "AliasTaken", `"x" is a's`},
		"the name of another type":   {named("a", 0, "b"), []v1alpha1.ProcessType{named("b", 5)}, "", "True", "AliasTaken", `"b" is b's`},
	} {
		t.Run(name, func(t *testing.T) {
			got := judge(&test.of, append(test.others, test.of), test.beyond)
			if got.Status != test.status || got.Reason != test.reason || !strings.Contains(got.Message, test.message) {
				t.Errorf("got %+v, want %s %s with %q", got, test.status, test.reason, test.message)
			}
		})
	}
}
