package apiserver

import (
	"cmp"
	"sync"
	"time"

	"github.com/google/btree"
	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/utils/lru"

	"procman.dev/procman/api/v1alpha1"
)

// Cache is the Processes, by name and by type, as an informer knows them. It is
// filled as the informer's event handler and wakes those who wait for a Process.
//
// What a live read or a delete of ours has found out goes before what the
// informer, which is behind, still says. The Processes are shared: nobody may
// change them.
type Cache struct {
	mu     sync.RWMutex
	byName map[string]*v1alpha1.Process
	byType map[string]*btree.BTreeG[*v1alpha1.Process]
	// processing is how many of a type are not finished.
	processing map[string]int
	watches    map[string]map[*watch]struct{}
	ahead      map[types.UID]ahead
	gone       *lru.Cache // the names of Processes that were deleted
}

var _ toolscache.ResourceEventHandler = (*Cache)(nil)

// ahead is what we know of a Process before the informer does: that it is
// finished, or that it is deleted.
type ahead struct {
	finished *v1alpha1.Process // nil: deleted
	until    time.Time         // when it does not matter any more
}

// maxAhead bounds how much is kept of that, and how many names of the deleted.
// The informer is milliseconds behind, so that what is old is no longer needed.
const maxAhead = 4096

// NewCache returns an empty Cache.
func NewCache() *Cache {
	return &Cache{
		byName: map[string]*v1alpha1.Process{},
		byType: map[string]*btree.BTreeG[*v1alpha1.Process]{},

		processing: map[string]int{},
		watches:    map[string]map[*watch]struct{}{},
		ahead:      map[types.UID]ahead{},
		gone:       lru.New(maxAhead),
	}
}

// OnAdd takes in a Process, or its new form.
func (c *Cache) OnAdd(obj any, _ bool) {
	p, ok := obj.(*v1alpha1.Process)
	if !ok {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.remove(p.Name)
	c.byName[p.Name] = p
	ofType := c.byType[p.Spec.Type]
	if ofType == nil {
		ofType = btree.NewG(32, newestFirst)
		c.byType[p.Spec.Type] = ofType
	}
	ofType.ReplaceOrInsert(p)
	if !p.Finished() {
		c.processing[p.Spec.Type]++
	}
	if a, ok := c.ahead[p.UID]; ok && a.finished != nil && p.Finished() {
		delete(c.ahead, p.UID)
	}
	c.gone.Remove(p.Name)
	c.wake(p.Name)
}

// OnUpdate takes in a Process's new form.
func (c *Cache) OnUpdate(_, obj any) { c.OnAdd(obj, false) }

// OnDelete forgets a Process.
func (c *Cache) OnDelete(obj any) {
	if gone, ok := obj.(toolscache.DeletedFinalStateUnknown); ok {
		obj = gone.Obj
	}
	p, ok := obj.(*v1alpha1.Process)
	if !ok {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.remove(p.Name)
	delete(c.ahead, p.UID)
	if p.Annotations[v1alpha1.AnnotationIdempotencyKey] == "" { // whose name may be used again
		c.gone.Add(p.Name, nil)
	}
	c.wake(p.Name)
}

func (c *Cache) remove(name string) {
	old := c.byName[name]
	if old == nil {
		return
	}
	delete(c.byName, name)
	if !old.Finished() {
		if c.processing[old.Spec.Type]--; c.processing[old.Spec.Type] == 0 {
			delete(c.processing, old.Spec.Type)
		}
	}
	ofType := c.byType[old.Spec.Type]
	ofType.Delete(old)
	if ofType.Len() == 0 {
		delete(c.byType, old.Spec.Type)
	}
}

// processingOf is how many Processes of a type are not finished, as far as the
// informer knows.
func (c *Cache) processingOf(typeName string) int {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.processing[typeName]
}

// get returns the Process called name, nil when the informer does not know one
// (yet). It is gone when we know that it is deleted.
func (c *Cache) get(name string) (p *v1alpha1.Process, gone bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	p = c.byName[name]
	if p == nil {
		_, gone = c.gone.Get(name)
		return nil, gone
	}
	p = c.newest(p)
	return p, p == nil
}

// newest is the newest known form of what the informer has; nil when deleted.
func (c *Cache) newest(p *v1alpha1.Process) *v1alpha1.Process {
	if a, ok := c.ahead[p.UID]; ok {
		return a.finished
	}
	return p
}

// saw keeps what a live read has said of a Process, if it was final: a client
// that has been told so must not be told otherwise.
func (c *Cache) saw(p *v1alpha1.Process, now time.Time) {
	if p.Finished() {
		p = p.DeepCopy()
		lean(p)
		c.remember(p.UID, ahead{finished: p, until: p.ExpirationTime()}, now)
	}
}

// deleted notes that a Process is deleted.
func (c *Cache) deleted(p *v1alpha1.Process, now time.Time) {
	c.remember(p.UID, ahead{until: p.ExpirationTime()}, now)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wake(p.Name)
}

func (c *Cache) remember(uid types.UID, a ahead, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.ahead) >= maxAhead {
		for uid, old := range c.ahead {
			if !now.Before(old.until) {
				delete(c.ahead, uid)
			}
		}
		for uid := range c.ahead {
			if len(c.ahead) < maxAhead {
				break
			}
			delete(c.ahead, uid)
		}
	}
	c.ahead[uid] = a
}

// position is a place in the order of a type's Processes.
type position struct {
	created time.Time
	name    string
}

func positionOf(p *v1alpha1.Process) position { return position{p.CreationTimestamp.Time, p.Name} }

// before orders the newest first. Creation times have whole seconds; within one,
// ids sort as they were made.
func (a position) before(b position) bool {
	return cmp.Or(b.created.Compare(a.created), cmp.Compare(b.name, a.name)) < 0
}

func newestFirst(a, b *v1alpha1.Process) bool { return positionOf(a).before(positionOf(b)) }

// after calls yield with each Process of a type behind a position, the newest
// first, until yield returns false. Yield must not use the Cache.
func (c *Cache) after(typeName string, from position, yield func(*v1alpha1.Process) bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	ofType := c.byType[typeName]
	if ofType == nil {
		return
	}
	pivot := &v1alpha1.Process{}
	pivot.Name, pivot.CreationTimestamp.Time = from.name, from.created
	ofType.AscendGreaterOrEqual(pivot, func(p *v1alpha1.Process) bool {
		if positionOf(p) == from {
			return true
		}
		if p = c.newest(p); p == nil {
			return true
		}
		return yield(p)
	})
}

// watch tells one waiter of changes of one Process.
type watch struct {
	cache *Cache
	name  string
	// changed gets a value after every change; several may be one.
	changed chan struct{}
}

// watch begins to watch the Process called name, whether there is one or not.
// The caller stops it.
func (c *Cache) watch(name string) *watch {
	w := &watch{cache: c, name: name, changed: make(chan struct{}, 1)}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.watches[name] == nil {
		c.watches[name] = map[*watch]struct{}{}
	}
	c.watches[name][w] = struct{}{}
	return w
}

func (w *watch) stop() {
	c := w.cache
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.watches[w.name], w)
	if len(c.watches[w.name]) == 0 {
		delete(c.watches, w.name)
	}
}

func (c *Cache) wake(name string) {
	for w := range c.watches[name] {
		select {
		case w.changed <- struct{}{}:
		default: // it has yet to look at the last change
		}
	}
}
