package apiserver

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"

	"procman.dev/procman/api/v1alpha1"
	"procman.dev/procman/internal/schema"
)

// Types knows the process types by all their names. It is filled by an informer,
// as its event handler, and read by requests.
//
// An object name beats every alias; of several types that claim an alias, the
// one created first keeps it, as the operator tells the others in their status.
type Types struct {
	mu     sync.Mutex // guards byName; one event at a time rebuilds the index
	byName map[string]*processType
	index  atomic.Pointer[typeIndex]
}

var _ toolscache.ResourceEventHandler = (*Types)(nil)

// typeIndex is what requests see: it is replaced, never changed.
type typeIndex struct {
	byAnyName map[string]*processType
	names     []string // those of accepted types, sorted
	// What is said about the types, made when it is first asked for.
	openAPI      func() (document, error)
	processTypes func() (document, error)
}

// newTypeIndex is the index of some types.
func newTypeIndex(byName map[string]*processType) *typeIndex {
	types := slices.Collect(maps.Values(byName))
	index := &typeIndex{byAnyName: maps.Clone(byName)}
	slices.SortFunc(types, func(a, b *processType) int { // the oldest first
		return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), cmp.Compare(a.Name, b.Name))
	})
	for _, pt := range types {
		for _, alias := range pt.Spec.Aliases {
			if index.byAnyName[alias] == nil {
				index.byAnyName[alias] = pt
			}
		}
	}
	for name, pt := range index.byAnyName {
		if pt.refused() == nil {
			index.names = append(index.names, name)
		}
	}
	slices.Sort(index.names)
	types = slices.DeleteFunc(types, func(pt *processType) bool { return pt.refused() != nil }) // nobody can use them
	slices.SortFunc(types, func(a, b *processType) int { return cmp.Compare(a.Name, b.Name) })
	shown := sync.OnceValue(func() []publishedType { return published(types) })
	index.openAPI = sync.OnceValues(func() (document, error) { return newDocument(describe(Contract, shown())) })
	index.processTypes = sync.OnceValues(func() (document, error) { return newDocument(processTypes(shown())) })
	return index
}

// processType is a registered type with its input schema, which is compiled when
// it is first needed and once for each generation of the type.
type processType struct {
	*v1alpha1.ProcessType
	inputSchema func() (*schema.Schema, error)
}

// NewTypes returns an empty registry.
func NewTypes() *Types {
	t := &Types{byName: map[string]*processType{}}
	t.index.Store(newTypeIndex(nil))
	return t
}

// lookup returns the type called name, which may be an alias, or nil.
func (t *Types) lookup(name string) *processType { return t.index.Load().byAnyName[name] }

// names returns every name and alias that an accepted type can be called by,
// sorted. The caller must not change it.
func (t *Types) names() []string { return t.index.Load().names }

// OnAdd registers a type.
func (t *Types) OnAdd(obj any, _ bool) {
	if pt, ok := obj.(*v1alpha1.ProcessType); ok {
		t.set(pt)
	}
}

// OnUpdate registers a type's new form.
func (t *Types) OnUpdate(_, obj any) { t.OnAdd(obj, false) }

// OnDelete forgets a type.
func (t *Types) OnDelete(obj any) {
	if gone, ok := obj.(toolscache.DeletedFinalStateUnknown); ok {
		obj = gone.Obj
	}
	pt, ok := obj.(*v1alpha1.ProcessType)
	if !ok {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.byName, pt.Name)
	t.index.Store(newTypeIndex(t.byName))
}

func (t *Types) set(pt *v1alpha1.ProcessType) {
	t.mu.Lock()
	defer t.mu.Unlock()
	next := &processType{ProcessType: pt}
	if old := t.byName[pt.Name]; old != nil && version(old.ProcessType) == version(pt) {
		if equality.Semantic.DeepEqual(old.refused(), next.refused()) {
			return // its counts are nothing to us
		}
		next.inputSchema = old.inputSchema
	} else {
		next.inputSchema = sync.OnceValues(func() (*schema.Schema, error) { return schema.Compile(pt.Spec.InputSchema) })
	}
	t.byName[pt.Name] = next
	t.index.Store(newTypeIndex(t.byName))
}

// specVersion tells two forms of a type's spec apart.
type specVersion struct {
	uid        types.UID
	generation int64
}

func version(pt *v1alpha1.ProcessType) specVersion { return specVersion{pt.UID, pt.Generation} }

// refused is the operator's verdict that the type, as it is, cannot be used; nil
// when it can, or nothing has been said about it yet.
func (t *processType) refused() *metav1.Condition {
	if c := t.Verdict(v1alpha1.ConditionAccepted); c != nil && c.Status == metav1.ConditionFalse {
		return c
	}
	return nil
}

// usable returns the type's input schema, or an error that says why no process of
// the type can be made.
func (t *processType) usable() (*schema.Schema, error) {
	if c := t.refused(); c != nil {
		return nil, fmt.Errorf("process type %s is not accepted: %s", t.Name, c.Message)
	}
	input, err := t.inputSchema()
	if err != nil { // the operator is about to say so, too
		return nil, fmt.Errorf("process type %s is not accepted: spec.inputSchema: %w", t.Name, err)
	}
	return input, nil
}

// lifetimeSeconds is how long a process of the type lives.
func (t *processType) lifetimeSeconds() int32 {
	return cmp.Or(t.Spec.LifetimeSeconds, v1alpha1.DefaultLifetimeSeconds)
}
