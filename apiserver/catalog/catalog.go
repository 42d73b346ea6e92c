// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

// Package catalog knows the registered process types: their names and aliases, their
// input schemas, and the documents that describe them to clients. It knows nothing of
// HTTP.
package catalog

import (
	"cmp"
	"fmt"
	"slices"
	"sync"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"procman.dev/procman/api/v1alpha1"
	"procman.dev/procman/internal/rules"
)

// Catalog contains the process types of all namespaces, as an informer reports them.
//
// An object name wins over every alias. If several types have the same alias, it
// belongs to the type that was created first; the operator reports the conflict in the
// status of the others.
type Catalog struct {
	contract []byte
	rules    rules.Cache

	empty   *index // of a namespace without types
	mu      sync.RWMutex
	types   map[types.NamespacedName]*Type
	indexes map[string]*index // by namespace; an index is replaced, never changed
}

// index is what requests read of the types of one namespace.
type index struct {
	byAnyName map[string]*Type
	names     []string // of the accepted types, sorted
	// The documents are made when they are first requested.
	openAPI      func() (Document, error)
	processTypes func() (Document, error)
}

// Type is a registered process type.
type Type struct {
	*v1alpha1.ProcessType
	Rules *rules.Rules
}

// UnusableError reports that no process can be created under a type's name.
type UnusableError struct {
	// Names are the names and aliases of the types that can be used, sorted. Nobody
	// may change them.
	Names []string
	// Message explains why a registered type cannot be used; "" if there is no type of
	// the name.
	Message string
}

func (e *UnusableError) Error() string {
	return cmp.Or(e.Message, "there is no process type of this name")
}

// New returns an empty catalog. contract is the OpenAPI description of the API, as
// YAML, from which the OpenAPI document is made.
func New(contract []byte) *Catalog {
	c := &Catalog{contract: contract, types: map[types.NamespacedName]*Type{}, indexes: map[string]*index{}}
	c.empty = c.newIndex(nil)
	return c
}

// Lookup returns the type with a name or an alias, nil if there is none.
func (c *Catalog) Lookup(namespace, name string) *Type { return c.index(namespace).byAnyName[name] }

// MaxConcurrent returns maxConcurrent of the type with an object name; 0 if it has none,
// or if there is no such type.
func (c *Catalog) MaxConcurrent(typeName types.NamespacedName) int {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if t := c.types[typeName]; t != nil {
		return int(t.Spec.MaxConcurrent)
	}
	return 0
}

// Usable returns the type with a name or an alias. It returns an UnusableError if no
// process of the type can be created.
//
// It does not ask the API server for a type that the informer does not know yet: a
// client could load the API server with invented names.
func (c *Catalog) Usable(namespace, name string) (*Type, error) {
	index := c.index(namespace)
	t := index.byAnyName[name]
	if t == nil {
		return nil, &UnusableError{Names: index.names}
	}
	if condition := t.refusal(); condition != nil {
		return nil, &UnusableError{index.names, fmt.Sprintf("process type %s is not accepted: %s", t.Name, condition.Message)}
	}
	if err := t.Rules.InputSchemaError(); err != nil { // the operator has not reported it yet
		return nil, &UnusableError{index.names, fmt.Sprintf("process type %s is not accepted: %v", t.Name, err)}
	}
	return t, nil
}

// ProcessTypes returns the body of GET /v1/processTypes.
func (c *Catalog) ProcessTypes(namespace string) (Document, error) {
	return c.index(namespace).processTypes()
}

// OpenAPI returns the OpenAPI document, with paths and schemas for each type.
func (c *Catalog) OpenAPI(namespace string) (Document, error) { return c.index(namespace).openAPI() }

func (c *Catalog) index(namespace string) *index {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return cmp.Or(c.indexes[namespace], c.empty)
}

// Set adds a type, or replaces it by its new form.
func (c *Catalog) Set(pt *v1alpha1.ProcessType) {
	name := types.NamespacedName{Namespace: pt.Namespace, Name: pt.Name}
	c.mu.Lock()
	defer c.mu.Unlock()
	next := &Type{pt, c.rules.Of(pt)}
	old := c.types[name]
	if old != nil && old.Rules == next.Rules && equality.Semantic.DeepEqual(old.refusal(), next.refusal()) {
		return // only its counts have changed, which the catalog does not show
	}
	c.types[name] = next
	c.reindex(pt.Namespace)
}

// Delete removes a type.
func (c *Catalog) Delete(pt *v1alpha1.ProcessType) {
	name := types.NamespacedName{Namespace: pt.Namespace, Name: pt.Name}
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.types, name)
	c.rules.Forget(name)
	c.reindex(pt.Namespace)
}

// reindex replaces the index of a namespace. The caller has the lock.
func (c *Catalog) reindex(namespace string) {
	var all []*Type
	for name, t := range c.types {
		if name.Namespace == namespace {
			all = append(all, t)
		}
	}
	if len(all) == 0 {
		delete(c.indexes, namespace)
		return
	}
	c.indexes[namespace] = c.newIndex(all)
}

func (c *Catalog) newIndex(all []*Type) *index {
	i := &index{byAnyName: map[string]*Type{}, names: []string{}}
	for _, t := range all {
		i.byAnyName[t.Name] = t
	}
	slices.SortFunc(all, func(a, b *Type) int { // the oldest first
		return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), cmp.Compare(a.Name, b.Name))
	})
	for _, t := range all {
		for _, alias := range t.Spec.Aliases {
			if i.byAnyName[alias] == nil {
				i.byAnyName[alias] = t
			}
		}
	}
	for name, t := range i.byAnyName {
		if t.refusal() == nil {
			i.names = append(i.names, name)
		}
	}
	slices.Sort(i.names)
	accepted := slices.DeleteFunc(all, func(t *Type) bool { return t.refusal() != nil })
	slices.SortFunc(accepted, func(a, b *Type) int { return cmp.Compare(a.Name, b.Name) })
	publish := sync.OnceValue(func() []publishedType { return published(accepted) })
	i.openAPI = sync.OnceValues(func() (Document, error) { return newDocument(openAPI(c.contract, publish())) })
	i.processTypes = sync.OnceValues(func() (Document, error) { return newDocument(processTypes(publish())) })
	return i
}

// refusal returns the operator's condition that the type cannot be used, nil if it can
// be used or the operator has not checked this generation yet.
func (t *Type) refusal() *metav1.Condition {
	if c := t.Verdict(v1alpha1.ConditionAccepted); c != nil && c.Status == metav1.ConditionFalse {
		return c
	}
	return nil
}
