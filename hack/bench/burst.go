// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	batchv1 "k8s.io/api/batch/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// burstTimeout bounds each half of a burst.
const burstTimeout = 20 * time.Minute

// compareBurst prints P12: n processes that are posted at once, against n Jobs that are
// created at once.
func compareBurst(ctx context.Context, kube kubernetes.Interface, url string, n int) error {
	fmt.Printf("P12, %d processes at once, divided by the last of %d bare Jobs at once; wanted: median at most 0.45, last at most 0.75\n", n, n)
	jobs, err := timeJobs(ctx, kube, n)
	if err != nil {
		return fmt.Errorf("time %d Jobs: %w", n, err)
	}
	reportBurst("bare Jobs", jobs)
	processes, err := timeProcesses(ctx, url, n)
	if err != nil {
		return fmt.Errorf("time %d processes: %w", n, err)
	}
	reportBurst("processes", processes)
	last := quantile(jobs, 1).Seconds()
	fmt.Printf("ratio of the median %.2f, of the last %.2f\n", quantile(processes, 0.5).Seconds()/last, quantile(processes, 1).Seconds()/last)
	return nil
}

// reportBurst prints after how many seconds each tenth of the results was there.
func reportBurst(what string, samples []time.Duration) {
	var tenths []string
	for i := range 10 {
		tenths = append(tenths, fmt.Sprintf("%.1f", quantile(samples, float64(i+1)/10).Seconds()))
	}
	fmt.Printf("%s: a tenth of the results each after %s s\n", what, strings.Join(tenths, " "))
}

// timeProcesses posts n processes at once. It returns after which time each was complete.
func timeProcesses(ctx context.Context, url string, n int) ([]time.Duration, error) {
	took := make([]time.Duration, n)
	clients, ctx := errgroup.WithContext(ctx)
	start := time.Now()
	for i := range n {
		clients.Go(func() error {
			p, err := call(ctx, http.MethodPost, url+"/v1/processes/echo", []byte(`{"input":{}}`))
			if err != nil {
				return err
			}
			for p.State == "processing" && time.Since(start) < burstTimeout {
				if p, err = call(ctx, http.MethodGet, url+"/v1/processes/echo/"+p.ProcessID, nil, "Prefer", "wait=60"); err != nil {
					return err
				}
			}
			if took[i] = time.Since(start); p.State != "complete" {
				return fmt.Errorf("process %s is in state %s after %s", p.ProcessID, p.State, took[i].Round(time.Second))
			}
			return nil
		})
	}
	return took, clients.Wait()
}

// timeJobs creates n Jobs at once. It returns after which time each was Complete.
func timeJobs(ctx context.Context, kube kubernetes.Interface, n int) ([]time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, burstTimeout)
	defer cancel()
	const namespace = "default"
	jobs, selector := kube.BatchV1().Jobs(namespace), metav1.ListOptions{LabelSelector: benchLabel}
	remove := func(ctx context.Context) error {
		return jobs.DeleteCollection(ctx, metav1.DeleteOptions{PropagationPolicy: new(metav1.DeletePropagationForeground)}, selector)
	}
	if err := remove(ctx); err != nil {
		return nil, err
	}
	defer func() { _ = remove(context.WithoutCancel(ctx)) }()
	list, err := jobs.List(ctx, selector)
	if err != nil {
		return nil, err
	}
	selector.ResourceVersion = list.ResourceVersion
	watch, err := jobs.Watch(ctx, selector)
	if err != nil {
		return nil, err
	}
	defer watch.Stop()
	creates, createCtx := errgroup.WithContext(ctx)
	start := time.Now()
	for range n {
		creates.Go(func() error {
			_, err := jobs.Create(createCtx, bareJob(), metav1.CreateOptions{})
			return err
		})
	}
	if err := creates.Wait(); err != nil {
		return nil, err
	}
	var took []time.Duration
	complete := map[string]bool{}
	for event := range watch.ResultChan() {
		job, ok := event.Object.(*batchv1.Job)
		if !ok {
			return nil, fmt.Errorf("watch: %v", event.Object)
		}
		if !isComplete(job) || complete[job.Name] {
			continue
		}
		complete[job.Name] = true
		if took = append(took, time.Since(start)); len(took) == n {
			return took, nil
		}
	}
	return nil, errors.New("watch ended before all Jobs were Complete")
}
