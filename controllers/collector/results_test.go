package collector

import (
	"errors"
	"testing"

	"k8s.io/apimachinery/pkg/types"
)

func TestResultsUnderWayAreBounded(t *testing.T) {
	r := newResults()
	var leave func()
	for _, pod := range []types.UID{"a", "b", "c", "d"} { // maxResults in all
		var err error
		if leave, err = r.enter(pod, maxResultBytes); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := r.enter("e", 1); !errors.Is(err, errBusy) {
		t.Errorf("one too many: %v", err)
	}
	leave()
	if _, err := r.enter("a", 1); !errors.Is(err, errBusy) {
		t.Errorf("a second one of a pod: %v", err)
	}
	if _, err := r.enter("d", maxResultBytes); err != nil {
		t.Errorf("after one has left: %v", err)
	}
}
