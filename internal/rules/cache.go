// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"sync"

	"k8s.io/apimachinery/pkg/types"

	"procman.dev/procman/api/v1alpha1"
)

// Cache keeps the rules of process types, so that a schema is compiled once for
// each generation of its type, even if it is not valid. Compiling costs more than
// most checks do. The zero value is ready for use. A Cache is safe for concurrent
// use.
//
// It keeps the newest rules of each type until Forget is called.
type Cache struct {
	mu     sync.Mutex
	byName map[types.NamespacedName]entry
}

type entry struct {
	version version
	rules   *Rules
}

// version identifies one form of a type's spec.
type version struct {
	uid        types.UID
	generation int64
}

// Of returns the rules of t.
func (c *Cache) Of(t *v1alpha1.ProcessType) *Rules {
	name, v := types.NamespacedName{Namespace: t.Namespace, Name: t.Name}, version{t.UID, t.Generation}
	c.mu.Lock()
	defer c.mu.Unlock()
	if known, ok := c.byName[name]; ok && known.version == v {
		return known.rules
	}
	if c.byName == nil {
		c.byName = map[types.NamespacedName]entry{}
	}
	r := New(t)
	c.byName[name] = entry{v, r}
	return r
}

// Forget removes the rules of a type that was deleted.
func (c *Cache) Forget(name types.NamespacedName) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.byName, name)
}
