// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"context"
	"errors"
	"fmt"

	"github.com/go-logr/logr"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"procman.dev/procman/api/v1alpha1"
	"procman.dev/procman/apiserver/catalog"
	"procman.dev/procman/apiserver/processes"
)

// newManager returns a manager of the parts of the facade, whose informers fill known. Its
// client is not cached.
func newManager(config *rest.Config, c Config, known *processes.Cache, log logr.Logger) (manager.Manager, error) {
	scheme := runtime.NewScheme()
	if err := errors.Join(corev1.AddToScheme(scheme), coordinationv1.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		return nil, fmt.Errorf("build scheme: %w", err)
	}
	config = rest.CopyConfig(config)
	config.QPS = -1 // the API server bounds its clients itself (priority and fairness)
	mgr, err := manager.New(config, manager.Options{
		Scheme: scheme,
		Logger: log,
		Cache: cache.Options{
			DefaultNamespaces:           map[string]cache.Config{c.Namespace: {}},
			ByObject:                    map[client.Object]cache.ByObject{&v1alpha1.Process{}: {Transform: known.Transform()}},
			DefaultTransform:            cache.TransformStripManagedFields(),
			ReaderFailOnMissingInformer: true,
		},
		NewClient: func(config *rest.Config, o client.Options) (client.Client, error) {
			o.Cache = nil
			return client.New(config, o)
		},
		Metrics:                 metricsserver.Options{BindAddress: "0"}, // the health server has them
		GracefulShutdownTimeout: new(c.Drain + 2*shutdownTimeout),
	})
	if err != nil {
		return nil, fmt.Errorf("connect to the cluster: %w", err)
	}
	return mgr, nil
}

// informers fill the catalog, and a cache of the Processes.
type informers struct {
	catalog *catalog.Catalog
	synced  []toolscache.InformerSynced
}

func newInformers(ctx context.Context, source cache.Cache, known *processes.Cache) (*informers, error) {
	i := &informers{catalog: catalog.New(Contract)}
	for kind, handler := range map[client.Object]toolscache.ResourceEventHandler{
		&v1alpha1.Process{}:     handlerOf[*v1alpha1.Process](known),
		&v1alpha1.ProcessType{}: handlerOf[*v1alpha1.ProcessType](i.catalog),
	} {
		informer, err := source.GetInformer(ctx, kind, cache.BlockUntilSynced(false))
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

// objects is what an informer of objects of type T fills.
type objects[T any] interface {
	Set(object T)
	Delete(object T)
}

func handlerOf[T any](into objects[T]) toolscache.ResourceEventHandler {
	return toolscache.ResourceEventHandlerFuncs{
		AddFunc:    func(object any) { apply(object, into.Set) },
		UpdateFunc: func(_, object any) { apply(object, into.Set) },
		DeleteFunc: func(object any) {
			if unknown, ok := object.(toolscache.DeletedFinalStateUnknown); ok { // the watch was interrupted
				object = unknown.Obj
			}
			apply(object, into.Delete)
		},
	}
}

func apply[T any](object any, change func(T)) {
	if o, ok := object.(T); ok {
		change(o)
	}
}
