package apiserver

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"encoding/json"
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
	clock clock.PassiveClock
}

// keySlack is how much longer than its process a Lease lives, so that it is never
// gone before it.
const keySlack = 60 * time.Second

const (
	digestAnnotation  = "procman.dev/input-digest" // SHA-256 of the input
	retiredAnnotation = "procman.dev/retired"      // the process was deleted by its client
)

// errReused is the failure of a key that stands for something else.
func errReused() error {
	return idempotencyKeyReused.at(schema.Details{In: "header", At: keyHeader})
}

// claim makes the key stand for a process that is to be created, unless it stands
// for one already. It returns the Lease of the process that the key stands for.
//
// It returns the failure IdempotencyKeyReused when the key stands for a process
// with another input, or for one that its client has deleted.
func (k *keys) claim(ctx context.Context, key string, proposed *v1alpha1.Process) (*coordinationv1.Lease, error) {
	lease := k.lease(key, proposed)
	for {
		err := k.store.insist(ctx, func(ctx context.Context) error { return k.store.live.Create(ctx, lease.DeepCopy()) })
		if err == nil {
			return lease, nil
		}
		if !apierrors.IsAlreadyExists(err) {
			return nil, fromKubernetes("create lease of an idempotency key", err)
		}
		held, err := k.read(ctx, lease.Name)
		if err != nil {
			return nil, err
		}
		if held == nil {
			continue // it has just expired
		}
		lives, err := k.lives(ctx, held)
		if err != nil {
			return nil, err
		}
		if lives {
			if held.Annotations[retiredAnnotation] != "" || held.Annotations[digestAnnotation] != lease.Annotations[digestAnnotation] {
				return nil, errReused()
			}
			return held, nil // maybe ours, by a call whose answer was lost
		}
		// Its process has expired: the key is free.
		next := lease.DeepCopy()
		next.ResourceVersion = held.ResourceVersion
		err = k.store.insist(ctx, func(ctx context.Context) error { return k.store.live.Update(ctx, next) })
		switch {
		case err == nil:
			return lease, nil
		case apierrors.IsConflict(err) || apierrors.IsNotFound(err): // another was faster, maybe a call of ours
		default:
			return nil, fromKubernetes("take over lease of an idempotency key", err)
		}
	}
}

// lives says whether the process of a Lease has yet to expire. By our clock alone
// it may seem to a moment too early: the process counts from its creation, by the
// API server's clock.
func (k *keys) lives(ctx context.Context, lease *coordinationv1.Lease) (bool, error) {
	now := k.clock.Now()
	if now.Before(expiryOf(lease)) {
		return true, nil
	}
	p, err := k.store.read(ctx, *lease.Spec.HolderIdentity)
	return p != nil && !p.Expired(now), err
}

// retired says whether the process that a key stood for has been deleted by its
// client.
func (k *keys) retired(ctx context.Context, p *v1alpha1.Process) (bool, error) {
	held, err := k.read(ctx, p.Annotations[v1alpha1.AnnotationIdempotencyKey])
	return held != nil && *held.Spec.HolderIdentity == p.Name && held.Annotations[retiredAnnotation] != "", err
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
		err = k.store.insist(ctx, func(ctx context.Context) error { return k.store.live.Update(ctx, held.DeepCopy()) })
		switch {
		case err == nil:
			return nil
		case apierrors.IsConflict(err) || apierrors.IsNotFound(err):
		default:
			return fromKubernetes("retire lease of an idempotency key", err)
		}
	}
}

// lease is the Lease of a key that stands for p.
func (k *keys) lease(key string, p *v1alpha1.Process) *coordinationv1.Lease {
	digest := sha256.Sum256([]byte(p.Spec.Input))
	return &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{
			Namespace:   p.Namespace,
			Name:        leaseName(key, p.Spec.Type),
			Labels:      map[string]string{v1alpha1.LabelIdempotencyKey: "true"},
			Annotations: map[string]string{digestAnnotation: hex.EncodeToString(digest[:])},
		},
		Spec: coordinationv1.LeaseSpec{
			HolderIdentity:       &p.Name,
			AcquireTime:          new(metav1.NewMicroTime(k.clock.Now())),
			LeaseDurationSeconds: new(p.Spec.LifetimeSeconds + int32(keySlack/time.Second)),
		},
	}
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
func (s *Server) createKeyed(ctx context.Context, key string, p *v1alpha1.Process) (*v1alpha1.Process, error) {
	// A client that leaves does not break it off: a create that has been sent may
	// still land, and somebody has to look whether it should have.
	ctx = context.WithoutCancel(ctx)
	lease, err := s.keys.claim(ctx, key, p)
	if err != nil {
		return nil, err
	}
	id := *lease.Spec.HolderIdentity
	if known, _ := s.cache.get(id); known != nil {
		return known, nil
	}
	metav1.SetMetaDataAnnotation(&p.ObjectMeta, v1alpha1.AnnotationIdempotencyKey, lease.Name)
	if p.Name != id {
		// Whoever claimed the key may have failed to create the process. It expires
		// when its id says.
		p.Name = id
		p.Spec.LifetimeSeconds = max(int32(expiryOf(lease).Sub(s.clock.Now()).Round(time.Second)/time.Second), 1)
	}
	created, err := s.store.create(ctx, p)
	if err != nil {
		return nil, err
	}
	// While our create was under way, another request with the key may have made
	// the process, and a client may have deleted that one.
	switch retired, err := s.keys.retired(ctx, created); {
	case err != nil:
		return nil, err
	case !retired:
		return created, nil
	}
	if _, err := s.store.delete(ctx, created); err != nil {
		return nil, err
	}
	return nil, errReused()
}
