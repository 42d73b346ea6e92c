// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package processes

import (
	"cmp"
	"encoding/base64"
	"encoding/binary"
	"sync"
	"time"

	"github.com/google/btree"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/utils/lru"

	"procman.dev/procman/api/v1alpha1"
	"procman.dev/procman/internal/payload"
)

// Cache contains the Processes by name and by type, as an informer reports them, and
// wakes the watchers of a Process. Its Processes are shared: nobody may change them.
//
// The informer is some milliseconds behind the API server. If a live read or a delete
// of this replica found out more, that overrides the informer's form.
type Cache struct {
	mu         sync.RWMutex
	byName     map[types.NamespacedName]*v1alpha1.Process
	byType     map[types.NamespacedName]*btree.BTreeG[*v1alpha1.Process]
	processing map[types.NamespacedName]*btree.BTreeG[*v1alpha1.Process] // those of byType that are not finished
	watches    map[Key]map[*Watch]struct{}
	overrides  map[types.UID]override
	deleted    *lru.Cache // the names of Processes that were deleted
	usage      usage      // of those of byName
	waiting    int        // how many of those of byName no worker has started
	coming     int64      // what is kept of the Processes that were transformed and have not arrived
}

// usage is what Processes take, in bytes.
type usage struct{ etcd, store, kept int64 }

// objectBytes is more than a Process takes in etcd without its payloads: about 1.5 KiB.
const objectBytes = 2 << 10

// usageOf returns what a Process takes: in etcd, in the store, and of it what the cache
// keeps.
func usageOf(p *v1alpha1.Process) usage {
	u := usage{etcd: objectBytes, store: int64(p.Spec.StoredInput.Bytes) + int64(p.Status.StoredOutput.Bytes)}
	for _, text := range []string{p.Spec.Input, p.Status.Output, p.Status.ErrorDetails} {
		u.etcd += int64(payload.Bytes(text))
		if !payload.IsOmitted(text) {
			u.kept += int64(len(text))
		}
	}
	return u
}

// maxKeptBytes bounds the payloads that the cache keeps. If it has so many, it keeps only
// those of up to tinyBytes of further Processes.
const (
	maxKeptBytes = 32 << 20
	tinyBytes    = 128
)

// Transform returns the transform of the informer that fills the Cache.
func (c *Cache) Transform() toolscache.TransformFunc {
	return payload.Policy(func(p *v1alpha1.Process) payload.Limits {
		limits := payload.KeepSmall(p)
		c.mu.Lock()
		defer c.mu.Unlock()
		kept := keptBy(limits, p)
		if c.usage.kept+c.coming+kept > maxKeptBytes {
			limits = payload.Limits{Input: tinyBytes, Output: tinyBytes, ErrorDetails: tinyBytes}
			kept = keptBy(limits, p)
		}
		c.coming += kept
		return limits
	}).Transform()
}

// keptBy returns the size of the payloads that limits keep of a Process.
func keptBy(limits payload.Limits, p *v1alpha1.Process) int64 {
	trimmed := *p
	payload.Policy(func(*v1alpha1.Process) payload.Limits { return limits }).Trim(&trimmed)
	return usageOf(&trimmed).kept
}

// arrived counts a Process that the informer delivers. It is not below 0: tests, and an
// informer that relists, deliver Processes that were not transformed.
func (c *Cache) arrived(p *v1alpha1.Process) { c.coming = max(0, c.coming-usageOf(p).kept) }

func (u *usage) add(other usage, sign int64) {
	u.etcd += sign * other.etcd
	u.kept += sign * other.kept
	u.store += sign * other.store
}

// used returns what all Processes take.
func (c *Cache) used() usage {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.usage
}

// override is what this replica knows of a Process before the informer reports it.
type override struct {
	terminal *v1alpha1.Process // nil: deleted
	until    time.Time         // the override has no effect after that time
}

// maxOverrides bounds the number of overrides, and of the names of deleted Processes.
// An override is needed only for some milliseconds.
const maxOverrides = 4096

// NewCache returns an empty Cache.
func NewCache() *Cache {
	return &Cache{
		byName:     map[types.NamespacedName]*v1alpha1.Process{},
		byType:     map[types.NamespacedName]*btree.BTreeG[*v1alpha1.Process]{},
		processing: map[types.NamespacedName]*btree.BTreeG[*v1alpha1.Process]{},
		watches:    map[Key]map[*Watch]struct{}{},
		overrides:  map[types.UID]override{},
		deleted:    lru.New(maxOverrides),
	}
}

// Set adds a Process, or replaces it by its new form.
func (c *Cache) Set(p *v1alpha1.Process) {
	key := keyOf(p)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.arrived(p)
	c.remove(key.name())
	c.byName[key.name()] = p
	c.usage.add(usageOf(p), 1)
	insert(c.byType, p)
	if notStarted(p) {
		c.waiting++
	}
	if !p.Finished() {
		insert(c.processing, p)
	}
	if o, ok := c.overrides[p.UID]; ok && o.terminal != nil && p.Finished() {
		delete(c.overrides, p.UID)
	}
	c.deleted.Remove(key.name())
	c.wake(key)
}

// Delete removes a Process.
func (c *Cache) Delete(p *v1alpha1.Process) {
	key := keyOf(p)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.arrived(p)
	c.remove(key.name())
	delete(c.overrides, p.UID)
	if p.Annotations[v1alpha1.AnnotationIdempotencyKey] == "" { // a key can create the same name again
		c.deleted.Add(key.name(), nil)
	}
	c.wake(key)
}

func (c *Cache) remove(name types.NamespacedName) {
	old := c.byName[name]
	if old == nil {
		return
	}
	delete(c.byName, name)
	c.usage.add(usageOf(old), -1)
	if notStarted(old) {
		c.waiting--
	}
	withdraw(c.byType, old)
	withdraw(c.processing, old)
}

// insert adds a Process to those of its type.
func insert(byType map[types.NamespacedName]*btree.BTreeG[*v1alpha1.Process], p *v1alpha1.Process) {
	typeName := keyOf(p).typeName()
	ofType := byType[typeName]
	if ofType == nil {
		ofType = btree.NewG(32, newestFirst)
		byType[typeName] = ofType
	}
	ofType.ReplaceOrInsert(p)
}

// withdraw removes a Process from those of its type, if it is one of them.
func withdraw(byType map[types.NamespacedName]*btree.BTreeG[*v1alpha1.Process], p *v1alpha1.Process) {
	typeName := keyOf(p).typeName()
	ofType := byType[typeName]
	if ofType == nil {
		return
	}
	ofType.Delete(p)
	if ofType.Len() == 0 {
		delete(byType, typeName)
	}
}

// allWaiting returns how many Processes of all types no worker has started.
func (c *Cache) allWaiting() int {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.waiting
}

// processingOf returns how many Processes of a type are not finished.
func (c *Cache) processingOf(typeName types.NamespacedName) int {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if ofType := c.processing[typeName]; ofType != nil {
		return ofType.Len()
	}
	return 0
}

// unfinished calls yield with each unfinished Process of a type, the oldest first. yield
// must not use the Cache.
func (c *Cache) unfinished(typeName types.NamespacedName, yield func(*v1alpha1.Process)) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	ofType := c.processing[typeName]
	if ofType == nil {
		return
	}
	ofType.Descend(func(p *v1alpha1.Process) bool {
		if p = c.newest(p); p != nil && !p.Finished() {
			yield(p)
		}
		return true
	})
}

// get returns a Process, nil if the informer does not know it (yet). deleted is true
// if the Process is known to be deleted.
func (c *Cache) get(name types.NamespacedName) (p *v1alpha1.Process, deleted bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	p = c.byName[name]
	if p == nil {
		_, deleted = c.deleted.Get(name)
		return nil, deleted
	}
	p = c.newest(p)
	return p, p == nil
}

// newest returns the newest known form of a Process of the informer, nil if it is
// deleted.
func (c *Cache) newest(p *v1alpha1.Process) *v1alpha1.Process {
	if o, ok := c.overrides[p.UID]; ok {
		return o.terminal
	}
	return p
}

// recordTerminal keeps the result of a live read if it is terminal: a client that got a
// terminal state must never get an earlier one.
func (c *Cache) recordTerminal(p *v1alpha1.Process, now time.Time) {
	if p.Finished() {
		p = p.DeepCopy()
		payload.Policy(payload.KeepSmall).Trim(p)
		c.override(p.UID, override{terminal: p, until: p.ExpirationTime()}, now)
	}
}

// recordDeleted keeps that a Process is deleted.
func (c *Cache) recordDeleted(p *v1alpha1.Process, now time.Time) {
	c.override(p.UID, override{until: p.ExpirationTime()}, now)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wake(keyOf(p))
}

func (c *Cache) override(uid types.UID, o override, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.overrides) >= maxOverrides {
		for uid, old := range c.overrides {
			if !now.Before(old.until) {
				delete(c.overrides, uid)
			}
		}
		for uid := range c.overrides {
			if len(c.overrides) < maxOverrides {
				break
			}
			delete(c.overrides, uid)
		}
	}
	c.overrides[uid] = o
}

// Position is a position in the list of a type's Processes. The zero Position is
// behind all Processes.
type Position struct {
	Created time.Time
	Name    string
}

// Newest is the position before all Processes.
var Newest = Position{Created: time.Unix(1<<40, 0)}

func positionOf(p *v1alpha1.Process) Position { return Position{p.CreationTimestamp.Time, p.Name} }

// before orders the newest first. Creation times are whole seconds; within a second,
// ids sort by the time of their creation.
func (a Position) before(b Position) bool {
	return cmp.Or(b.Created.Compare(a.Created), cmp.Compare(b.Name, a.Name)) < 0
}

func newestFirst(a, b *v1alpha1.Process) bool { return positionOf(a).before(positionOf(b)) }

// Token returns the position as clients send it from page to page.
func (a Position) Token() string {
	return base64.RawURLEncoding.EncodeToString(append(binary.BigEndian.AppendUint64(nil, uint64(a.Created.Unix())), a.Name...))
}

// ParsePosition returns the position of a token.
func ParsePosition(token string) (Position, bool) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || len(raw) < 8 {
		return Position{}, false
	}
	name := string(raw[8:])
	if len(validation.IsDNS1123Label(name)) > 0 {
		return Position{}, false
	}
	return Position{Created: time.Unix(int64(binary.BigEndian.Uint64(raw)), 0), Name: name}, true
}

// after calls yield with each Process of a type behind a position, the newest first,
// until yield returns false. yield must not use the Cache.
func (c *Cache) after(typeName types.NamespacedName, from Position, yield func(*v1alpha1.Process) bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	ofType := c.byType[typeName]
	if ofType == nil {
		return
	}
	pivot := &v1alpha1.Process{}
	pivot.Name, pivot.CreationTimestamp.Time = from.Name, from.Created
	ofType.AscendGreaterOrEqual(pivot, func(p *v1alpha1.Process) bool {
		if !from.before(positionOf(p)) { // the process at the position itself
			return true
		}
		if p = c.newest(p); p == nil {
			return true
		}
		return yield(p)
	})
}

func (c *Cache) watch(key Key) *Watch {
	w := &Watch{Changed: make(chan struct{}, 1), cache: c, key: key}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.watches[key] == nil {
		c.watches[key] = map[*Watch]struct{}{}
	}
	c.watches[key][w] = struct{}{}
	return w
}

// Stop ends the watch.
func (w *Watch) Stop() {
	c := w.cache
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.watches[w.key], w)
	if len(c.watches[w.key]) == 0 {
		delete(c.watches, w.key)
	}
}

func (c *Cache) wake(key Key) {
	for w := range c.watches[key] {
		select {
		case w.Changed <- struct{}{}:
		default: // it has not yet seen the last change
		}
	}
}
