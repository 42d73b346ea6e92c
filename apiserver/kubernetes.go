package apiserver

import (
	"context"
	"errors"
	"fmt"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/cluster"

	"procman.dev/procman/api/v1alpha1"
)

// kubernetes is the facade's connection to a cluster: informers of Processes and
// ProcessTypes in one namespace, and a client that reads and writes live.
type kubernetes struct {
	cluster   cluster.Cluster
	live      client.Client
	types     *Types
	processes *Cache
	synced    []toolscache.InformerSynced
}

// connect prepares the informers; cluster.Start fills them.
func connect(ctx context.Context, config *rest.Config, namespace string) (*kubernetes, error) {
	scheme := runtime.NewScheme()
	if err := errors.Join(corev1.AddToScheme(scheme), coordinationv1.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		return nil, fmt.Errorf("build scheme: %w", err)
	}
	config = rest.CopyConfig(config)
	config.QPS = -1 // the API server's own fairness is the limit, not a guess of ours
	c, err := cluster.New(config, func(o *cluster.Options) {
		o.Scheme = scheme
		o.Cache = cache.Options{
			DefaultNamespaces:           map[string]cache.Config{namespace: {}},
			ByObject:                    map[client.Object]cache.ByObject{&v1alpha1.Process{}: {Transform: LeanProcess}},
			DefaultTransform:            cache.TransformStripManagedFields(),
			ReaderFailOnMissingInformer: true,
		}
	})
	if err != nil {
		return nil, fmt.Errorf("connect to the cluster: %w", err)
	}
	live, err := client.New(config, client.Options{Scheme: scheme, Mapper: c.GetRESTMapper(), HTTPClient: c.GetHTTPClient()})
	if err != nil {
		return nil, fmt.Errorf("make a live client: %w", err)
	}
	k := &kubernetes{cluster: c, live: live, types: NewTypes(), processes: NewCache()}
	for kind, handler := range map[client.Object]toolscache.ResourceEventHandler{
		&v1alpha1.Process{}: k.processes, &v1alpha1.ProcessType{}: k.types,
	} {
		informer, err := c.GetCache().GetInformer(ctx, kind, cache.BlockUntilSynced(false))
		if err != nil {
			return nil, fmt.Errorf("watch %T: %w", kind, err)
		}
		registration, err := informer.AddEventHandler(handler)
		if err != nil {
			return nil, fmt.Errorf("watch %T: %w", kind, err)
		}
		k.synced = append(k.synced, registration.HasSynced)
	}
	return k, nil
}

// sync waits until the informers have delivered what there is.
func (k *kubernetes) sync(ctx context.Context) error {
	if !toolscache.WaitForCacheSync(ctx.Done(), k.synced...) {
		return fmt.Errorf("fill the caches: %w", context.Cause(ctx))
	}
	return nil
}
