// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package collector

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"sync"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"procman.dev/procman/internal/agentapi"
)

// identity is the pod that a token is bound to.
type identity struct {
	podName string
	podUID  types.UID
}

// The keys under which a TokenReview has the pod that a token is bound to.
const (
	extraPodName = "authentication.kubernetes.io/pod-name"
	extraPodUID  = "authentication.kubernetes.io/pod-uid"
)

// Bounds of the cache of reviewed tokens. A cached token is of no use once its pod is
// deleted: then the collector does not find the pod.
const (
	cacheFor    = time.Minute
	cacheTokens = 10_000
)

// authenticator turns bearer tokens into identities with TokenReviews, and caches
// them for a short time.
type authenticator struct {
	client client.Client
	clock  clock.PassiveClock
	// username is the only service account that is accepted.
	username string

	mu     sync.Mutex
	cached map[[sha256.Size]byte]cachedIdentity
}

type cachedIdentity struct {
	identity
	until time.Time
}

// authenticate returns the pod that the token is bound to. The error is
// agentapi.ErrUnauthenticated when the token is not valid; any other error is worth
// another try.
func (a *authenticator) authenticate(ctx context.Context, token string) (identity, error) {
	key := sha256.Sum256([]byte(token))
	if id, ok := a.recall(key); ok {
		return id, nil
	}
	review := &authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{
		Token: token, Audiences: []string{agentapi.Audience},
	}}
	if err := a.client.Create(ctx, review); err != nil {
		return identity{}, fmt.Errorf("review token: %w", err)
	}
	id, err := a.identify(&review.Status)
	if err == nil {
		a.remember(key, id)
	}
	return id, err
}

// identify reads the status of a TokenReview.
func (a *authenticator) identify(s *authenticationv1.TokenReviewStatus) (identity, error) {
	switch {
	case !s.Authenticated:
		return identity{}, fmt.Errorf("%w: %s", agentapi.ErrUnauthenticated, s.Error)
	case !slices.Contains(s.Audiences, agentapi.Audience):
		return identity{}, fmt.Errorf("%w: the token is for another audience", agentapi.ErrUnauthenticated)
	case s.User.Username != a.username:
		return identity{}, fmt.Errorf("%w: %s is not %s", agentapi.ErrUnauthenticated, s.User.Username, a.username)
	}
	name, uid := s.User.Extra[extraPodName], s.User.Extra[extraPodUID]
	if len(name) != 1 || len(uid) != 1 {
		return identity{}, fmt.Errorf("%w: the token is not bound to a pod", agentapi.ErrUnauthenticated)
	}
	return identity{podName: name[0], podUID: types.UID(uid[0])}, nil
}

func (a *authenticator) recall(key [sha256.Size]byte) (identity, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	c, ok := a.cached[key]
	return c.identity, ok && a.clock.Now().Before(c.until)
}

func (a *authenticator) remember(key [sha256.Size]byte, id identity) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.cached == nil || len(a.cached) >= cacheTokens {
		a.cached = map[[sha256.Size]byte]cachedIdentity{}
	}
	a.cached[key] = cachedIdentity{id, a.clock.Now().Add(cacheFor)}
}
