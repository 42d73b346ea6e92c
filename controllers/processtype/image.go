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
)

// Bounds of status.command: those of its schema, and what an object can hold besides.
const (
	maxCommand      = 256
	maxWord         = 32768 // characters, as the schema counts
	maxCommandBytes = 512 << 10
)

// The pauses between questions to a registry that did not answer one.
const (
	firstPause   = time.Second
	longestPause = time.Minute
)

// ImageReconciler keeps the condition ImageResolved, and status.image and
// status.command with it: for types without a command, what their image runs. It
// is a controller of its own, so that a registry that is slow keeps nobody from
// knowing whether a type is accepted.
type ImageReconciler struct {
	Client client.Client
	// Live reads Secrets and the service account, which are not cached.
	Live     client.Reader
	Resolver *registry.Resolver
	// ServiceAccount is the workers' own.
	ServiceAccount string

	pauses workqueue.TypedRateLimiter[types.UID]
}

// Setup registers the controller.
func (r *ImageReconciler) Setup(mgr manager.Manager) error {
	r.pauses = workqueue.NewTypedItemExponentialFailureRateLimiter[types.UID](firstPause, longestPause)
	return builder.ControllerManagedBy(mgr).
		Named("processtype-image").
		For(&v1alpha1.ProcessType{}, builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		WithOptions(controller.Options{MaxConcurrentReconciles: 4}). // each may wait for a registry
		Complete(reconcile.AsReconciler(mgr.GetClient(), r))
}

// Reconcile asks the registry once for each form of the spec, and again, ever
// more slowly, until it has an answer.
func (r *ImageReconciler) Reconcile(ctx context.Context, t *v1alpha1.ProcessType) (reconcile.Result, error) {
	last := t.Verdict(v1alpha1.ConditionImageResolved)
	switch {
	case len(t.Spec.Command) > 0: // the image is used as it is written
		r.pauses.Forget(t.UID)
		return patchStatus(ctx, r.Client, t, func(s *v1alpha1.ProcessTypeStatus) {
			meta.RemoveStatusCondition(&s.Conditions, v1alpha1.ConditionImageResolved)
			s.Image, s.Command = "", nil
		})
	case last != nil && last.Status == metav1.ConditionTrue:
		return reconcile.Result{}, nil
	case last == nil: // another spec, another beginning
		r.pauses.Forget(t.UID)
	}
	image, command, err := r.resolve(ctx, t)
	resolved := verdict(err)
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

// What keeps an image from being resolved besides its registry.
var (
	errNoEntrypoint = errors.New("the image names no program: give the type a command")
	errCommandSize  = fmt.Errorf("the image's entrypoint and arguments are more than %d or %d bytes, or one has more than %d characters: give the type a command", maxCommand, maxCommandBytes, maxWord)
	errPullSecret   = errors.New("pull secret")
)

// resolve returns the type's image by its digest and the command of its
// processes.
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
	case len(command) > maxCommand, bytes > maxCommandBytes, longest > maxWord:
		return "", nil, errCommandSize
	}
	return image.Reference, command, nil
}

// pullSecrets are those of the type or else, as in a pod, of the service account.
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
			return nil, fmt.Errorf("%w: there is no Secret %s", errPullSecret, name)
		}
		if err != nil {
			return nil, fmt.Errorf("%w: read Secret %s: %w", errPullSecret, name, err)
		}
	}
	return secrets, nil
}

// architecture is the one that the type's nodes have to have, or else ours: most
// clusters have one.
func architecture(t *v1alpha1.ProcessType) string {
	if arch, ok := t.Spec.Template.NodeSelector[corev1.LabelArchStable]; ok {
		return string(arch)
	}
	return runtime.GOARCH
}

// verdict is the condition ImageResolved for what resolve returned.
func verdict(err error) metav1.Condition {
	resolved := metav1.Condition{Type: v1alpha1.ConditionImageResolved, Status: metav1.ConditionFalse}
	switch {
	case err == nil:
		resolved.Status, resolved.Reason = metav1.ConditionTrue, v1alpha1.ReasonResolved
		resolved.Message = "status.image is what the registry had; it is looked up again when the spec changes"
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
	resolved.Message = bounded(err.Error())
	return resolved
}
