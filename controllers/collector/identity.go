// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package collector

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	"k8s.io/apimachinery/pkg/types"

	"procman.dev/procman/internal/agentapi"
)

// identity is the pod that a token is bound to.
type identity struct {
	podName string
	podUID  types.UID
}

// The keys of a TokenReview for the pod that a token is bound to.
const (
	extraPodName = "authentication.kubernetes.io/pod-name"
	extraPodUID  = "authentication.kubernetes.io/pod-uid"
)

// Bounds of the cache of identities. The identity of a deleted pod can be cached, but
// cannot be used: the collector does not find the pod.
const (
	identityLifetime = time.Minute
	maxIdentities    = 10_000
)

// authenticate returns the pod that the token is bound to. The error is
// agentapi.ErrUnauthenticated if the token is not valid; any other error is temporary.
func (c *Collector) authenticate(ctx context.Context, token string) (identity, error) {
	key := sha256.Sum256([]byte(token))
	if id, ok := c.identities.Get(key); ok {
		return id.(identity), nil
	}
	review := &authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{
		Token: token, Audiences: []string{agentapi.Audience},
	}}
	if err := c.Client.Create(ctx, review); err != nil {
		return identity{}, fmt.Errorf("review token: %w", err)
	}
	id, err := c.identify(&review.Status)
	if err == nil {
		c.identities.Add(key, id, identityLifetime)
	}
	return id, err
}

// identify returns the pod in the status of a TokenReview, or agentapi.ErrUnauthenticated.
func (c *Collector) identify(s *authenticationv1.TokenReviewStatus) (identity, error) {
	account := "system:serviceaccount:" + c.Namespace + ":" + c.ServiceAccount
	switch {
	case !s.Authenticated:
		return identity{}, fmt.Errorf("%w: %s", agentapi.ErrUnauthenticated, s.Error)
	case !slices.Contains(s.Audiences, agentapi.Audience):
		return identity{}, fmt.Errorf("%w: the token is for another audience", agentapi.ErrUnauthenticated)
	case s.User.Username != account:
		return identity{}, fmt.Errorf("%w: %s is not %s", agentapi.ErrUnauthenticated, s.User.Username, account)
	}
	name, uid := s.User.Extra[extraPodName], s.User.Extra[extraPodUID]
	if len(name) != 1 || len(uid) != 1 {
		return identity{}, fmt.Errorf("%w: the token is not bound to a pod", agentapi.ErrUnauthenticated)
	}
	return identity{podName: name[0], podUID: types.UID(uid[0])}, nil
}
