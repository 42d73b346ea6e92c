// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package processes

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"strings"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"procman.dev/procman/api/v1alpha1"
)

// idempotencyKeys records which process an idempotency key belongs to. Each key is a
// Lease in the namespace of its process (docs/adr/0008-idempotency-keys-are-leases.md).
// Of several creates of a Lease the API server accepts one, and the holder of the Lease
// is the id of the process. A key lives as long as its process.
type idempotencyKeys struct {
	kube  kube
	cache *Cache
	clock clock.PassiveClock
}

// leaseSlack is how much longer than its process a Lease lives, so that the operator
// never deletes it before the process.
const leaseSlack = 60 * time.Second

const (
	digestAnnotation  = "procman.dev/input-digest" // SHA-256 of the input
	retiredAnnotation = "procman.dev/retired"      // the client deleted the process
	sharedAnnotation  = "procman.dev/shared"       // a request that did not claim the key can create the process
)

// claim makes a key belong to a process that is to be created, or finds the process
// that it belongs to. It returns the Lease of the key, and the process if that exists.
// If not, the caller may create it, under the id in the Lease.
//
// A Lease that another request claimed is marked as shared first, so that no request
// releases it meanwhile. claim returns ErrKeyReused if the key belongs to a process
// with another input, or to one that its client deleted. digest is the SHA-256 of the
// input.
func (k idempotencyKeys) claim(ctx context.Context, key, digest string, proposed *v1alpha1.Process) (*coordinationv1.Lease, *v1alpha1.Process, error) {
	lease := newLease(key, digest, proposed)
	for {
		var claimed *coordinationv1.Lease
		_, err := k.kube.retry(ctx, func(ctx context.Context) error {
			claimed = lease.DeepCopy()
			return k.kube.live.Create(ctx, claimed)
		})
		if err == nil {
			return claimed, nil, nil
		}
		if !apierrors.IsAlreadyExists(err) {
			return nil, nil, classify("create lease for an idempotency key", err)
		}
		held, err := k.find(ctx, client.ObjectKeyFromObject(lease))
		if err != nil {
			return nil, nil, err
		}
		if held == nil {
			continue // it expired, or was released, just now
		}
		p, err := k.process(ctx, held)
		if err != nil {
			return nil, nil, err
		}
		next := held
		if free(held, p, k.clock.Now()) {
			next = lease.DeepCopy()
			next.ResourceVersion = held.ResourceVersion
		} else {
			if held.Annotations[retiredAnnotation] != "" || held.Annotations[digestAnnotation] != lease.Annotations[digestAnnotation] {
				return nil, nil, ErrKeyReused
			}
			// The Lease can be ours, from a call whose answer was lost.
			if p != nil || *held.Spec.HolderIdentity == proposed.Name || held.Annotations[sharedAnnotation] != "" {
				return held, p, nil
			}
			metav1.SetMetaDataAnnotation(&next.ObjectMeta, sharedAnnotation, "true")
		}
		if written, err := k.update(ctx, next); written || err != nil {
			return next, nil, err
		}
	}
}

// update writes a Lease that was read. Written is false if another request, or an
// earlier call of ours, changed it meanwhile.
func (k idempotencyKeys) update(ctx context.Context, lease *coordinationv1.Lease) (written bool, err error) {
	_, err = k.kube.retry(ctx, func(ctx context.Context) error { return k.kube.live.Update(ctx, lease) })
	switch {
	case err == nil:
		return true, nil
	case apierrors.IsConflict(err) || apierrors.IsNotFound(err):
		return false, nil
	default:
		return false, classify("update lease for an idempotency key", err)
	}
}

// release frees a key that was claimed with this Lease for a process whose create was
// refused. If other requests can be creating that process, which the Lease shows
// before they do, the key stays theirs.
func (k idempotencyKeys) release(ctx context.Context, claimed *coordinationv1.Lease) error {
	if claimed.Annotations[sharedAnnotation] != "" {
		return nil
	}
	// client-go sends some calls again on its own: a call before the refused one can
	// have succeeded.
	if p, err := k.kube.find(ctx, holder(claimed)); p != nil || err != nil {
		return err
	}
	_, err := k.kube.retry(ctx, func(ctx context.Context) error {
		return k.kube.live.Delete(ctx, claimed.DeepCopy(), client.Preconditions{UID: &claimed.UID, ResourceVersion: &claimed.ResourceVersion})
	})
	if err != nil && !apierrors.IsConflict(err) && !apierrors.IsNotFound(err) {
		return fmt.Errorf("delete lease for an idempotency key: %w", err)
	}
	return nil
}

// existing returns the process that was created for the key and the input of a
// submission, or ErrNotFound.
func (k idempotencyKeys) existing(ctx context.Context, sub Submission) (*v1alpha1.Process, error) {
	held, err := k.find(ctx, types.NamespacedName{Namespace: sub.Type.Namespace, Name: leaseName(sub.IdempotencyKey, sub.Type.Name)})
	if err != nil {
		return nil, err
	}
	if held == nil || held.Annotations[retiredAnnotation] != "" || held.Annotations[digestAnnotation] != sub.digest() {
		return nil, ErrNotFound
	}
	p, err := k.process(ctx, held)
	if err != nil {
		return nil, err
	}
	if p == nil || p.Expired(k.clock.Now()) {
		return nil, ErrNotFound
	}
	return p, nil
}

// process returns the process of a Lease, nil if there is none.
func (k idempotencyKeys) process(ctx context.Context, lease *coordinationv1.Lease) (*v1alpha1.Process, error) {
	p, deleted := k.cache.get(holder(lease))
	if p != nil || deleted {
		return p, nil
	}
	return k.kube.find(ctx, holder(lease))
}

// free reports whether the process of a Lease has expired, so that its key can belong
// to another. p is that process, nil if there is none.
//
// The Process expires by the API server's clock, but its id and its Lease by a
// replica's. A process that is missing shortly before the end of the Lease has expired,
// as GET reports it, and must not be created again under the same id. If the lifetime
// is as short as that, the process can also be about to be created: then only the
// second half of the lifetime counts as its end.
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

// holds reports whether a key, which had this Lease when it was claimed, belongs to the
// process that was created since.
func (k idempotencyKeys) holds(ctx context.Context, claimed *coordinationv1.Lease, p *v1alpha1.Process) (bool, error) {
	held, err := k.find(ctx, client.ObjectKeyFromObject(claimed))
	if err != nil {
		return false, err
	}
	if held != nil && (*held.Spec.HolderIdentity != p.Name || held.Annotations[retiredAnnotation] != "") {
		return false, nil
	}
	// A process that was created after its id had expired can have existed before.
	now, expiry := k.clock.Now(), expiryOf(claimed)
	return !p.Expired(now) && (now.Before(expiry) || p.CreationTimestamp.Time.Before(expiry)), nil
}

// retire records, before a process is deleted, that its key must not create it again.
// It does nothing for a process without a key.
func (k idempotencyKeys) retire(ctx context.Context, p *v1alpha1.Process) error {
	name := p.Annotations[v1alpha1.AnnotationIdempotencyKey]
	if name == "" {
		return nil
	}
	for {
		held, err := k.find(ctx, types.NamespacedName{Namespace: p.Namespace, Name: name})
		if err != nil || held == nil || *held.Spec.HolderIdentity != p.Name || held.Annotations[retiredAnnotation] != "" {
			return err
		}
		metav1.SetMetaDataAnnotation(&held.ObjectMeta, retiredAnnotation, "true")
		if written, err := k.update(ctx, held); written || err != nil {
			return err
		}
	}
}

// find returns a Lease, nil if there is none.
func (k idempotencyKeys) find(ctx context.Context, name types.NamespacedName) (*coordinationv1.Lease, error) {
	lease := &coordinationv1.Lease{}
	err := withTimeout(ctx, func(ctx context.Context) error { return k.kube.live.Get(ctx, name, lease) })
	switch {
	case apierrors.IsNotFound(err):
		return nil, nil
	case err != nil:
		return nil, classify("read lease for an idempotency key", err)
	case lease.Spec.HolderIdentity == nil || lease.Spec.AcquireTime == nil || lease.Spec.LeaseDurationSeconds == nil:
		return nil, fmt.Errorf("read lease for an idempotency key: %s has no holder, no acquireTime or no duration", name)
	default:
		return lease, nil
	}
}

// newLease returns the Lease of a key that belongs to p. digest is the SHA-256 of the
// input.
func newLease(key, digest string, p *v1alpha1.Process) *coordinationv1.Lease {
	return &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{
			Namespace:   p.Namespace,
			Name:        leaseName(key, p.Spec.Type),
			Labels:      map[string]string{v1alpha1.LabelIdempotencyKey: "true"},
			Annotations: map[string]string{digestAnnotation: digest},
		},
		Spec: coordinationv1.LeaseSpec{
			HolderIdentity:       &p.Name,
			AcquireTime:          new(metav1.NewMicroTime(p.CreationTimestamp.Time)), // so that it expires when the id does
			LeaseDurationSeconds: new(p.Spec.LifetimeSeconds + int32(leaseSlack/time.Second)),
		},
	}
}

// holder is the name of the Process of a Lease.
func holder(lease *coordinationv1.Lease) types.NamespacedName {
	return types.NamespacedName{Namespace: lease.Namespace, Name: *lease.Spec.HolderIdentity}
}

// expiryOf is the time at which the process of a Lease expires.
func expiryOf(lease *coordinationv1.Lease) time.Time {
	return lease.Spec.AcquireTime.Add(time.Duration(*lease.Spec.LeaseDurationSeconds)*time.Second - leaseSlack)
}

// leaseName is the name of a key's Lease in the namespace of its type. It is a hash,
// because a key can contain any character and must not be readable in the cluster.
func leaseName(key, typeName string) string {
	sum := sha256.Sum256([]byte(typeName + "\x00" + key))
	return "procman-key-" + strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(sum[:20]))
}
