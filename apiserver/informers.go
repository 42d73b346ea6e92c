// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

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
	"procman.dev/procman/apiserver/catalog"
	"procman.dev/procman/apiserver/processes"
	"procman.dev/procman/internal/payload"
)

// informers fill the caches of the Processes and the ProcessTypes of a namespace.
type informers struct {
	cluster   cluster.Cluster // its Start runs the informers
	live      client.Client   // not cached
	catalog   *catalog.Catalog
	processes *processes.Cache
	synced    []toolscache.InformerSynced
}

func newInformers(ctx context.Context, config *rest.Config, namespace string) (*informers, error) {
	scheme := runtime.NewScheme()
	if err := errors.Join(corev1.AddToScheme(scheme), coordinationv1.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		return nil, fmt.Errorf("build scheme: %w", err)
	}
	config = rest.CopyConfig(config)
	config.QPS = -1 // the API server bounds its clients itself (priority and fairness)
	c, err := cluster.New(config, func(o *cluster.Options) {
		o.Scheme = scheme
		o.Cache = cache.Options{
			DefaultNamespaces:           map[string]cache.Config{namespace: {}},
			ByObject:                    map[client.Object]cache.ByObject{&v1alpha1.Process{}: {Transform: payload.Policy(payload.KeepSmall).Transform()}},
			DefaultTransform:            cache.TransformStripManagedFields(),
			ReaderFailOnMissingInformer: true,
		}
	})
	if err != nil {
		return nil, fmt.Errorf("connect to the cluster: %w", err)
	}
	live, err := client.New(config, client.Options{Scheme: scheme, Mapper: c.GetRESTMapper(), HTTPClient: c.GetHTTPClient()})
	if err != nil {
		return nil, fmt.Errorf("create live client: %w", err)
	}
	i := &informers{cluster: c, live: live, catalog: catalog.New(Contract), processes: processes.NewCache()}
	for kind, handler := range map[client.Object]toolscache.ResourceEventHandler{
		&v1alpha1.Process{}: i.processes, &v1alpha1.ProcessType{}: i.catalog,
	} {
		informer, err := c.GetCache().GetInformer(ctx, kind, cache.BlockUntilSynced(false))
		if err != nil {
			return nil, fmt.Errorf("watch %T: %w", kind, err)
		}
		registration, err := informer.AddEventHandler(handler)
		if err != nil {
			return nil, fmt.Errorf("watch %T: %w", kind, err)
		}
		i.synced = append(i.synced, registration.HasSynced)
	}
	return i, nil
}

// sync waits until the caches contain all that exists.
func (i *informers) sync(ctx context.Context) error {
	if !toolscache.WaitForCacheSync(ctx.Done(), i.synced...) {
		return fmt.Errorf("fill the caches: %w", context.Cause(ctx))
	}
	return nil
}
