package process

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"procman.dev/procman/api/v1alpha1"
)

func TestOnlyTold(t *testing.T) {
	at := func(place int32) *v1alpha1.Process {
		return &v1alpha1.Process{
			ObjectMeta: metav1.ObjectMeta{UID: "it"},
			Status:     v1alpha1.ProcessStatus{State: v1alpha1.StateProcessing, QueuePosition: place},
		}
	}
	refused := func(p *v1alpha1.Process, message string) *v1alpha1.Process {
		p.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionLaunched, Status: metav1.ConditionFalse, Message: message}}
		return p
	}
	changed := func(p *v1alpha1.Process, change func(*v1alpha1.Process)) *v1alpha1.Process {
		change(p)
		return p
	}
	for name, test := range map[string]struct {
		before, after *v1alpha1.Process
		want          bool
	}{
		"moved up":        {at(2), at(1), true},
		"its turn":        {at(1), at(0), true},
		"refused a Job":   {at(0), refused(at(0), "no"), true},
		"in other words":  {refused(at(0), "no"), refused(at(0), "not yet"), true},
		"in the same":     {refused(at(0), "no"), refused(at(0), "no"), false},
		"refused at last": {refused(at(0), "no"), changed(at(0), func(p *v1alpha1.Process) { p.Status.State = v1alpha1.StateError }), false},
		"nothing":         {at(1), at(1), false},
		"finished":        {at(1), changed(at(0), func(p *v1alpha1.Process) { p.Status.State = v1alpha1.StateError }), false},
		"deleted":         {at(2), changed(at(1), func(p *v1alpha1.Process) { p.DeletionTimestamp = new(metav1.Now()) }), false},
		"another of that": {at(2), changed(at(1), func(p *v1alpha1.Process) { p.UID = "another" }), false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := onlyTold(test.before, test.after); got != test.want {
				t.Errorf("got %t, want %t", got, test.want)
			}
		})
	}
}
