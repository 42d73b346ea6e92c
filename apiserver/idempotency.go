package apiserver

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"procman.dev/procman/api/v1alpha1"
	"procman.dev/procman/internal/schema"
)

const keyHeader = "Idempotency-Key"

// keyPattern is a key: 1 to 255 printable ASCII characters; keyExpected says so
// to clients.
var keyPattern = regexp.MustCompile(`^[ -~]{1,255}$`)

const keyExpected = `{"type":"string","minLength":1,"maxLength":255,"pattern":"^[ -~]+$"}`

// idempotencyKey returns the key of a request, "" when it has none. The header is
// a string of RFC 9651, as the draft of the IETF has it, or the bare key.
func idempotencyKey(h http.Header) (string, error) {
	sent := h.Values(keyHeader)
	if len(sent) == 0 {
		return "", nil
	}
	key, ok := strings.TrimSpace(sent[0]), len(sent) == 1
	if strings.HasPrefix(key, `"`) {
		key, ok = unquote(key)
	}
	if !ok || !keyPattern.MatchString(key) {
		return "", invalidInput.at(schema.Details{In: "header", At: keyHeader, Expected: json.RawMessage(keyExpected)})
	}
	return key, nil
}

// unquote is the content of a string of RFC 9651, section 3.3.3.
func unquote(s string) (string, bool) {
	var content strings.Builder
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '"':
			return content.String(), i == len(s)-1
		case '\\':
			if i++; i == len(s) || s[i] != '"' && s[i] != '\\' {
				return "", false
			}
		}
		content.WriteByte(s[i])
	}
	return "", false
}

// keys remembers which process an Idempotency-Key stands for. Each key is a Lease
// beside the Processes (docs/adr/0008-idempotency-keys-are-leases.md): the API
// server lets only one of several creates through, and the holder of the Lease is
// the process. A key lives as long as its process.
type keys struct {
	store *store
	cache *Cache
	clock clock.PassiveClock
}

// keySlack is how much longer than its process a Lease lives, so that it is never
// gone before it.
const keySlack = 60 * time.Second

const (
	digestAnnotation  = "procman.dev/input-digest" // SHA-256 of the input
	retiredAnnotation = "procman.dev/retired"      // the process was deleted by its client
	sharedAnnotation  = "procman.dev/shared"       // others than who claimed the key may create the process
)

// errReused is the failure of a key that stands for something else.
func errReused() error {
	return idempotencyKeyReused.at(schema.Details{In: "header", At: keyHeader})
}

// claim makes the key stand for a process that is to be created, unless it stands
// for one already. It returns the Lease of the process that the key stands for,
// and that process when it is there; when it is not, it may be created. A Lease
// that another has claimed says so first, so that it is not released meanwhile.
//
// It returns the failure IdempotencyKeyReused when the key stands for a process
// with another input, or for one that its client has deleted.
func (k *keys) claim(ctx context.Context, key string, proposed *v1alpha1.Process) (*coordinationv1.Lease, *v1alpha1.Process, error) {
	lease := k.lease(key, proposed)
	for {
		var claimed *coordinationv1.Lease
		err := k.store.insist(ctx, func(ctx context.Context) error {
			claimed = lease.DeepCopy()
			return k.store.live.Create(ctx, claimed)
		})
		if err == nil {
			return claimed, nil, nil
		}
		if !apierrors.IsAlreadyExists(err) {
			return nil, nil, fromKubernetes("create lease of an idempotency key", err)
		}
		held, err := k.read(ctx, lease.Name)
		if err != nil {
			return nil, nil, err
		}
		if held == nil {
			continue // it has just expired, or been released
		}
		p, err := k.process(ctx, held)
		if err != nil {
			return nil, nil, err
		}
		if !free(held, p, k.clock.Now()) {
			if held.Annotations[retiredAnnotation] != "" || held.Annotations[digestAnnotation] != lease.Annotations[digestAnnotation] {
				return nil, nil, errReused()
			}
			if p != nil || *held.Spec.HolderIdentity == proposed.Name || held.Annotations[sharedAnnotation] != "" {
				return held, p, nil // maybe ours, by a call whose answer was lost
			}
			metav1.SetMetaDataAnnotation(&held.ObjectMeta, sharedAnnotation, "true")
			if written, err := k.update(ctx, held); written || err != nil {
				return held, nil, err
			}
			continue
		}
		next := lease.DeepCopy()
		next.ResourceVersion = held.ResourceVersion
		if written, err := k.update(ctx, next); written || err != nil {
			return next, nil, err
		}
	}
}

// update writes a Lease that has been read. Written is false when another was
// faster, maybe a call of ours.
func (k *keys) update(ctx context.Context, lease *coordinationv1.Lease) (written bool, err error) {
	err = k.store.insist(ctx, func(ctx context.Context) error { return k.store.live.Update(ctx, lease) })
	switch {
	case err == nil:
		return true, nil
	case apierrors.IsConflict(err) || apierrors.IsNotFound(err):
		return false, nil
	default:
		return false, fromKubernetes("update lease of an idempotency key", err)
	}
}

// release makes a key unused again whose claim, this Lease, was for a process that
// there was no room for, or that the API server has refused to create. When others may be creating it, which the
// Lease says before they do, the key stays theirs.
func (k *keys) release(ctx context.Context, claimed *coordinationv1.Lease) error {
	if claimed.Annotations[sharedAnnotation] != "" {
		return nil
	}
	// client-go makes some calls again by itself: one before that which was refused
	// may have succeeded.
	if p, err := k.store.read(ctx, *claimed.Spec.HolderIdentity); p != nil || err != nil {
		return err
	}
	err := k.store.insist(ctx, func(ctx context.Context) error {
		return k.store.live.Delete(ctx, claimed.DeepCopy(), client.Preconditions{UID: &claimed.UID, ResourceVersion: &claimed.ResourceVersion})
	})
	if err != nil && !apierrors.IsConflict(err) && !apierrors.IsNotFound(err) {
		return fmt.Errorf("delete lease of an idempotency key: %w", err)
	}
	return nil
}

// original returns the process that a key has been given to together with this
// input, nil when there is none that lives.
func (k *keys) original(ctx context.Context, key, typeName string, input []byte) (*v1alpha1.Process, error) {
	held, err := k.read(ctx, leaseName(key, typeName))
	if err != nil || held == nil || held.Annotations[retiredAnnotation] != "" || held.Annotations[digestAnnotation] != digestOf(input) {
		return nil, err
	}
	p, err := k.process(ctx, held)
	if err != nil || p == nil || p.Expired(k.clock.Now()) {
		return nil, err
	}
	return p, nil
}

// process returns the process of a Lease, nil when there is none.
func (k *keys) process(ctx context.Context, lease *coordinationv1.Lease) (*v1alpha1.Process, error) {
	p, gone := k.cache.get(*lease.Spec.HolderIdentity)
	if p != nil || gone {
		return p, nil
	}
	return k.store.read(ctx, *lease.Spec.HolderIdentity)
}

// free says whether a key no longer stands for the process of its Lease, because
// that has expired. p is the process, nil when there is none.
//
// The process expires by the API server's clock, its id and its Lease by that of
// a replica. One that is gone shortly before the Lease is over has expired, as GET
// says, and must not be made again under the same id. Where lifetimes are as short
// as that, it may as well be on its way: half of the lifetime it is waited for.
func free(lease *coordinationv1.Lease, p *v1alpha1.Process, now time.Time) bool {
	if p != nil {
		return p.Expired(now)
	}
	expiry := expiryOf(lease)
	if lease.Annotations[retiredAnnotation] == "" {
		expiry = expiry.Add(-min(clockSkew, expiry.Sub(lease.Spec.AcquireTime.Time)/2))
	}
	return !now.Before(expiry)
}

// standsFor says whether a key, with this Lease when it was claimed, stands for
// the process that has been created since.
func (k *keys) standsFor(ctx context.Context, claimed *coordinationv1.Lease, p *v1alpha1.Process) (bool, error) {
	held, err := k.read(ctx, claimed.Name)
	if err != nil {
		return false, err
	}
	if held != nil && (*held.Spec.HolderIdentity != p.Name || held.Annotations[retiredAnnotation] != "") {
		return false, nil
	}
	// One that was created after its id had expired may have been there before.
	now, expiry := k.clock.Now(), expiryOf(claimed)
	return !p.Expired(now) && (now.Before(expiry) || p.CreationTimestamp.Time.Before(expiry)), nil
}

// retire notes, before a process is deleted, that its key must not bring it back.
// For a process without a key it does nothing.
func (k *keys) retire(ctx context.Context, p *v1alpha1.Process) error {
	name := p.Annotations[v1alpha1.AnnotationIdempotencyKey]
	if name == "" {
		return nil
	}
	for {
		held, err := k.read(ctx, name)
		if err != nil || held == nil || *held.Spec.HolderIdentity != p.Name || held.Annotations[retiredAnnotation] != "" {
			return err
		}
		metav1.SetMetaDataAnnotation(&held.ObjectMeta, retiredAnnotation, "true")
		if written, err := k.update(ctx, held); written || err != nil {
			return err
		}
	}
}

// lease is the Lease of a key that stands for p.
func (k *keys) lease(key string, p *v1alpha1.Process) *coordinationv1.Lease {
	return &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{
			Namespace:   p.Namespace,
			Name:        leaseName(key, p.Spec.Type),
			Labels:      map[string]string{v1alpha1.LabelIdempotencyKey: "true"},
			Annotations: map[string]string{digestAnnotation: digestOf([]byte(p.Spec.Input))},
		},
		Spec: coordinationv1.LeaseSpec{
			HolderIdentity:       &p.Name,
			AcquireTime:          new(metav1.NewMicroTime(p.CreationTimestamp.Time)), // so that it expires when the id does
			LeaseDurationSeconds: new(p.Spec.LifetimeSeconds + int32(keySlack/time.Second)),
		},
	}
}

func digestOf(input []byte) string {
	digest := sha256.Sum256(input)
	return hex.EncodeToString(digest[:])
}

// expiryOf is when the process of a Lease expires.
func expiryOf(lease *coordinationv1.Lease) time.Time {
	return lease.Spec.AcquireTime.Add(time.Duration(*lease.Spec.LeaseDurationSeconds)*time.Second - keySlack)
}

// leaseName is the name of a key's Lease: the key itself, which may be anything,
// does not show in it.
func leaseName(key, typeName string) string {
	sum := sha256.Sum256([]byte(typeName + "\x00" + key))
	return "procman-key-" + strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(sum[:20]))
}

// read returns the Lease called name, nil when there is none.
func (k *keys) read(ctx context.Context, name string) (*coordinationv1.Lease, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	var lease coordinationv1.Lease
	err := k.store.live.Get(ctx, client.ObjectKey{Namespace: k.store.namespace, Name: name}, &lease)
	switch {
	case apierrors.IsNotFound(err):
		return nil, nil
	case err != nil:
		return nil, fromKubernetes("read lease of an idempotency key", err)
	case lease.Spec.HolderIdentity == nil || lease.Spec.AcquireTime == nil || lease.Spec.LeaseDurationSeconds == nil:
		return nil, internal(fmt.Errorf("read lease of an idempotency key: %s is not one of ours", name))
	default:
		return &lease, nil
	}
}

// createKeyed makes the process that a key stands for, or returns it when it has
// been made.
func (s *Server) createKeyed(ctx context.Context, key string, pt *processType, input []byte) (*v1alpha1.Process, error) {
	for range callAttempts {
		p := s.newProcess(pt, input)
		lease, made, err := s.keys.claim(ctx, key, p)
		if err != nil || made != nil {
			return made, err
		}
		metav1.SetMetaDataAnnotation(&p.ObjectMeta, v1alpha1.AnnotationIdempotencyKey, lease.Name)
		id := *lease.Spec.HolderIdentity
		ours := id == p.Name
		if !ours {
			// Whoever claimed the key may have failed to create the process. It expires
			// when its id says.
			p.Name = id
			p.Spec.LifetimeSeconds = max(int32(expiryOf(lease).Sub(s.clock.Now().Truncate(time.Second))/time.Second), 1)
		}
		var created *v1alpha1.Process
		if ours { // another's may be there already
			err = s.roomFor(pt)
		}
		if err == nil {
			created, err = s.store.create(ctx, p)
		}
		if err != nil {
			f := failureOf(err)
			if f.refused && ours {
				f.log = errors.Join(f.log, s.keys.release(ctx, lease))
			}
			return nil, f
		}
		// While our create was under way, another request with the key may have made
		// the process, and a client may have deleted that one; or it has expired.
		switch stands, err := s.keys.standsFor(ctx, lease, created); {
		case err != nil:
			return nil, err
		case stands:
			return created, nil
		}
		if _, err := s.store.delete(ctx, created); err != nil {
			return nil, err
		}
		s.cache.deleted(created, s.clock.Now())
	}
	return nil, internal(errors.New("create process of an idempotency key: each time it had expired before it was made"))
}
