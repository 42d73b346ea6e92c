package collector

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"procman.dev/procman/internal/agentapi"
)

// identity is which pod a token speaks for.
type identity struct {
	podName string
	podUID  types.UID
}

// What the TokenReview API calls the pod that a token is bound to.
const (
	extraPodName = "authentication.kubernetes.io/pod-name"
	extraPodUID  = "authentication.kubernetes.io/pod-uid"
)

// Bounds of what is remembered about tokens. A pod that is gone is found gone
// in the pod cache, so a remembered token opens nothing longer than its pod.
const (
	rememberFor    = time.Minute
	rememberTokens = 10_000
	maxTokenBytes  = 16 << 10
)

// errUnauthenticated: the token proves nothing. Its text is for the log.
var errUnauthenticated = errors.New("unauthenticated")

// authenticator turns bearer tokens into identities with TokenReviews, and
// remembers them briefly.
type authenticator struct {
	client client.Client
	clock  clock.PassiveClock
	// username is the one service account that is listened to.
	username string

	mu    sync.Mutex
	known map[[sha256.Size]byte]known
}

type known struct {
	identity
	until time.Time
}

// authenticate returns the pod whose token the request bears. An error that is
// errUnauthenticated is the token's fault; any other is worth another try.
func (a *authenticator) authenticate(ctx context.Context, r *http.Request) (identity, error) {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok || token == "" || len(token) > maxTokenBytes {
		return identity{}, fmt.Errorf("%w: no bearer token", errUnauthenticated)
	}
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

// identify reads a TokenReview's verdict.
func (a *authenticator) identify(s *authenticationv1.TokenReviewStatus) (identity, error) {
	switch {
	case !s.Authenticated:
		return identity{}, fmt.Errorf("%w: %s", errUnauthenticated, s.Error)
	case !slices.Contains(s.Audiences, agentapi.Audience):
		return identity{}, fmt.Errorf("%w: the token is for another audience", errUnauthenticated)
	case s.User.Username != a.username:
		return identity{}, fmt.Errorf("%w: %s is not %s", errUnauthenticated, s.User.Username, a.username)
	}
	name, uid := s.User.Extra[extraPodName], s.User.Extra[extraPodUID]
	if len(name) != 1 || len(uid) != 1 {
		return identity{}, fmt.Errorf("%w: the token is not bound to a pod", errUnauthenticated)
	}
	return identity{podName: name[0], podUID: types.UID(uid[0])}, nil
}

func (a *authenticator) recall(key [sha256.Size]byte) (identity, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	k, ok := a.known[key]
	return k.identity, ok && a.clock.Now().Before(k.until)
}

func (a *authenticator) remember(key [sha256.Size]byte, id identity) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.known == nil || len(a.known) >= rememberTokens {
		a.known = map[[sha256.Size]byte]known{}
	}
	a.known[key] = known{id, a.clock.Now().Add(rememberFor)}
}
