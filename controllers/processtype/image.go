// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package processtype

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"time"
	"unicode/utf8"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	logf "sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"procman.dev/procman/api/v1alpha1"
	"procman.dev/procman/controllers/internal/registry"
	"procman.dev/procman/controllers/internal/truncate"
)

// Limits of status.command. The first two are also in its schema. The third leaves
// space in the object for the other fields.
const (
	maxWords        = 256
	maxWordLength   = 32768 // characters, as in the schema
	maxCommandBytes = 512 << 10
)

// The pause after a failed request to a registry. It starts with minPause and doubles
// each time, up to maxPause.
const (
	minPause = time.Second
	maxPause = time.Minute
)

// ImageReconciler writes the condition ImageResolved, status.image and
// status.command: what the image of a type without a command runs. It is a
// controller of its own, so that a slow registry does not delay the condition
// Accepted.
type ImageReconciler struct {
	Client client.Client
	// Live reads Secrets and the service account, which are not cached.
	Live     client.Reader
	Resolver *registry.Resolver
	// ServiceAccount is the service account of the workers.
	ServiceAccount string

	pauses workqueue.TypedRateLimiter[types.UID]
}

// SetupWithManager registers the controller.
func (r *ImageReconciler) SetupWithManager(mgr manager.Manager) error {
	r.pauses = workqueue.NewTypedItemExponentialFailureRateLimiter[types.UID](minPause, maxPause)
	return builder.ControllerManagedBy(mgr).
		Named("processtype-image").
		For(&v1alpha1.ProcessType{}, builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		WithOptions(controller.Options{MaxConcurrentReconciles: 4}). // each one may wait for a registry
		Complete(reconcile.AsReconciler(mgr.GetClient(), r))
}

// Reconcile asks the registry once for each generation of the type. If that fails,
// it asks again after a pause.
func (r *ImageReconciler) Reconcile(ctx context.Context, t *v1alpha1.ProcessType) (reconcile.Result, error) {
	last := t.Verdict(v1alpha1.ConditionImageResolved)
	switch {
	case len(t.Spec.Command) > 0: // nothing to resolve
		r.pauses.Forget(t.UID)
		return patchStatus(ctx, r.Client, t, func(s *v1alpha1.ProcessTypeStatus) {
			meta.RemoveStatusCondition(&s.Conditions, v1alpha1.ConditionImageResolved)
			s.Image, s.Command = "", nil
		})
	case last != nil && last.Status == metav1.ConditionTrue:
		return reconcile.Result{}, nil
	case last == nil: // the spec has changed
		r.pauses.Forget(t.UID)
	}
	image, command, err := r.resolve(ctx, t)
	resolved := imageResolved(err)
	resolved.ObservedGeneration = t.Generation
	result, patchErr := patchStatus(ctx, r.Client, t, func(s *v1alpha1.ProcessTypeStatus) {
		meta.SetStatusCondition(&s.Conditions, resolved)
		s.Image, s.Command = image, command
	})
	if patchErr != nil || !result.IsZero() {
		return result, patchErr
	}
	if err != nil {
		pause := r.pauses.When(t.UID)
		logf.FromContext(ctx).Info("image not resolved", "reason", resolved.Reason, "message", resolved.Message, "nextTry", pause.String())
		return reconcile.Result{RequeueAfter: pause}, nil
	}
	r.pauses.Forget(t.UID)
	logf.FromContext(ctx).Info("image resolved", "image", image)
	return reconcile.Result{}, nil
}

// Causes of an image that is not resolved, other than its registry.
var (
	errNoEntrypoint = errors.New("the image has neither an entrypoint nor a command: set spec.command of the type")
	errCommandSize  = fmt.Errorf("entrypoint and arguments of the image are more than %d words or %d bytes, or a word has more than %d characters: set spec.command of the type", maxWords, maxCommandBytes, maxWordLength)
	errPullSecret   = errors.New("pull secret")
)

// resolve returns the image of the type with its digest, and the command that its
// processes run.
func (r *ImageReconciler) resolve(ctx context.Context, t *v1alpha1.ProcessType) (string, []string, error) {
	secrets, err := r.pullSecrets(ctx, t)
	if err != nil {
		return "", nil, err
	}
	keychain, err := registry.NewKeychain(secrets)
	if err != nil {
		return "", nil, fmt.Errorf("%w: %w", errPullSecret, err)
	}
	image, err := r.Resolver.Resolve(ctx, t.Spec.Image, architecture(t), keychain)
	if err != nil {
		return "", nil, err
	}
	arguments := image.Cmd
	if len(t.Spec.Args) > 0 {
		arguments = t.Spec.Args
	}
	command := slices.Concat(image.Entrypoint, arguments)
	bytes, longest := 0, 0
	for _, word := range command {
		bytes += len(word)
		longest = max(longest, utf8.RuneCountInString(word))
	}
	switch {
	case len(command) == 0:
		return "", nil, errNoEntrypoint
	case len(command) > maxWords, bytes > maxCommandBytes, longest > maxWordLength:
		return "", nil, errCommandSize
	}
	return image.Reference, command, nil
}

// pullSecrets returns the pull secrets of the type. If it has none, those of the
// service account are used, as in a pod.
func (r *ImageReconciler) pullSecrets(ctx context.Context, t *v1alpha1.ProcessType) ([]corev1.Secret, error) {
	var names []string
	for _, s := range t.Spec.Template.ImagePullSecrets {
		names = append(names, s.Name)
	}
	if len(names) == 0 {
		account := &corev1.ServiceAccount{}
		err := r.Live.Get(ctx, client.ObjectKey{Namespace: t.Namespace, Name: r.ServiceAccount}, account)
		if err != nil {
			return nil, fmt.Errorf("%w: read service account %s: %w", errPullSecret, r.ServiceAccount, err)
		}
		for _, s := range account.ImagePullSecrets {
			names = append(names, s.Name)
		}
	}
	secrets := make([]corev1.Secret, len(names))
	for i, name := range names {
		err := r.Live.Get(ctx, client.ObjectKey{Namespace: t.Namespace, Name: name}, &secrets[i])
		if apierrors.IsNotFound(err) {
			return nil, fmt.Errorf("%w: Secret %s does not exist", errPullSecret, name)
		}
		if err != nil {
			return nil, fmt.Errorf("%w: read Secret %s: %w", errPullSecret, name, err)
		}
	}
	return secrets, nil
}

// architecture returns the architecture in the nodeSelector of the type, or else that of
// the operator: most clusters have only one.
func architecture(t *v1alpha1.ProcessType) string {
	if arch, ok := t.Spec.Template.NodeSelector[corev1.LabelArchStable]; ok {
		return string(arch)
	}
	return runtime.GOARCH
}

// imageResolved returns the condition ImageResolved for the error of resolve.
func imageResolved(err error) metav1.Condition {
	resolved := metav1.Condition{Type: v1alpha1.ConditionImageResolved, Status: metav1.ConditionFalse}
	switch {
	case err == nil:
		resolved.Status, resolved.Reason = metav1.ConditionTrue, v1alpha1.ReasonResolved
		resolved.Message = "status.image is what the registry had; it is resolved again when the spec changes"
		return resolved
	case errors.Is(err, registry.ErrNotFound):
		resolved.Reason = v1alpha1.ReasonImageNotFound
	case errors.Is(err, registry.ErrUnauthorized):
		resolved.Reason = v1alpha1.ReasonUnauthorized
	case errors.Is(err, errNoEntrypoint), errors.Is(err, errCommandSize):
		resolved.Reason = v1alpha1.ReasonNoEntrypoint
	case errors.Is(err, errPullSecret):
		resolved.Reason = v1alpha1.ReasonNoPullSecret
	default:
		resolved.Reason = v1alpha1.ReasonRegistryUnreachable
	}
	resolved.Message = truncate.Bytes(err.Error(), maxMessageBytes)
	return resolved
}
