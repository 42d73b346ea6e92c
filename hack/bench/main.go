// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

// Command bench measures a process against a bare Job of the same image, side by
// side on one cluster with the product on it:
//
//	make bench
//
// A process is measured from POST until a GET returns the state complete, a Job
// from its creation until a watch shows its condition Complete. The result is the
// ratio of the two medians, because absolute times depend on the machine.
//
// Then it measures a burst: many POSTs at once against as many Jobs at once.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

// maxSpread is the largest spread of a usable measurement: the distance of the
// quartiles, divided by the median.
const maxSpread = 0.5

func main() {
	kubeconfig := flag.String("kubeconfig", os.Getenv("KUBECONFIG"), "kubeconfig of the cluster with the product")
	url := flag.String("url", "http://127.0.0.1:3000", "base URL of the facade")
	samples := flag.Int("samples", 20, "number of processes and of Jobs to measure")
	burst := flag.Int("burst", 100, "number of processes and of Jobs in a burst; 0 for no burst")
	flag.Parse()
	if err := run(context.Background(), *kubeconfig, *url, *samples, *burst); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, kubeconfig, url string, samples, burst int) error {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return fmt.Errorf("read kubeconfig: %w", err)
	}
	config.QPS = -1
	kube, err := kubernetes.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("create client: %w", err)
	}
	if samples > 0 {
		if err := compareOne(ctx, kube, url, samples); err != nil {
			return err
		}
	}
	if burst > 0 {
		return compareBurst(ctx, kube, url, burst)
	}
	return nil
}

// compareOne prints P1: one process at a time against one Job at a time.
func compareOne(ctx context.Context, kube kubernetes.Interface, url string, samples int) error {
	var processes, jobs []time.Duration
	for i := range samples + 1 {
		p, err := timeProcess(ctx, url)
		if err != nil {
			return fmt.Errorf("time a process: %w", err)
		}
		pause()
		j, err := timeJob(ctx, kube)
		if err != nil {
			return fmt.Errorf("time a Job: %w", err)
		}
		pause()
		if i == 0 {
			continue // the first sample fills the caches of the cluster
		}
		processes, jobs = append(processes, p), append(jobs, j)
		fmt.Fprintf(os.Stderr, "\r%d of %d", i, samples)
	}
	fmt.Fprintln(os.Stderr)
	fmt.Println("P1, a process from POST to complete, divided by a bare Job from creation to Complete; wanted: at most 0.30")
	report("process", processes)
	report("bare Job", jobs)
	ratio := quantile(processes, 0.5).Seconds() / quantile(jobs, 0.5).Seconds()
	if spread(processes) > maxSpread || spread(jobs) > maxSpread {
		fmt.Printf("ratio of medians %.2f is not usable: the spread is above %.0f %%\n", ratio, 100*maxSpread)
		return nil
	}
	fmt.Printf("ratio of medians %.2f, of p99 %.2f\n", ratio, quantile(processes, 0.99).Seconds()/quantile(jobs, 0.99).Seconds())
	return nil
}

// pause waits for a random time, so that samples are not synchronized with the
// one-second loops of the kubelet and the Job controller.
func pause() {
	<-time.After(300*time.Millisecond + rand.N(time.Second))
}

func report(what string, samples []time.Duration) {
	fmt.Printf("%-9s median %.3f s, p99 %.3f s, spread %.0f %%, %d samples\n",
		what, quantile(samples, 0.5).Seconds(), quantile(samples, 0.99).Seconds(), 100*spread(samples), len(samples))
}

// quantile returns the quantile q of the samples; q is from 0 to 1.
func quantile(samples []time.Duration, q float64) time.Duration {
	sorted := slices.Sorted(slices.Values(samples))
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}

func spread(samples []time.Duration) float64 {
	return (quantile(samples, 0.75) - quantile(samples, 0.25)).Seconds() / quantile(samples, 0.5).Seconds()
}

// timeProcess returns the time from POST until GET returns the state complete.
func timeProcess(ctx context.Context, url string) (time.Duration, error) {
	start := time.Now()
	created, err := call(ctx, http.MethodPost, url+"/v1/processes/echo", []byte(`{"input":{}}`))
	if err != nil {
		return 0, err
	}
	for time.Since(start) < time.Minute {
		current, err := call(ctx, http.MethodGet, url+"/v1/processes/echo/"+created.ProcessID, nil)
		if err != nil {
			return 0, err
		}
		if current.State == "complete" {
			return time.Since(start), nil
		}
		<-time.After(5 * time.Millisecond)
	}
	return 0, errors.New("process is not complete after a minute")
}

// process is the part of a response that bench reads.
type process struct{ ProcessID, State string }

// call sends a request with JSON and with headers, each a name and a value.
func call(ctx context.Context, method, url string, body []byte, headers ...string) (p process, err error) {
	request, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return p, err
	}
	request.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return p, err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return p, fmt.Errorf("%s %s: %s", method, url, response.Status)
	}
	err = json.NewDecoder(response.Body).Decode(&p)
	return p, err
}

// timeJob returns the time from the creation of a Job until it is Complete. Its
// program, from the image of the worker echo, ends immediately.
func timeJob(ctx context.Context, kube kubernetes.Interface) (time.Duration, error) {
	const namespace = "default"
	jobs := kube.BatchV1().Jobs(namespace)
	start := time.Now()
	job, err := jobs.Create(ctx, bareJob(), metav1.CreateOptions{})
	if err != nil {
		return 0, err
	}
	defer func() {
		_ = jobs.Delete(ctx, job.Name, metav1.DeleteOptions{PropagationPolicy: new(metav1.DeletePropagationBackground)})
	}()
	watch, err := jobs.Watch(ctx, metav1.ListOptions{
		FieldSelector: fields.OneTermEqualSelector("metadata.name", job.Name).String(), ResourceVersion: job.ResourceVersion,
	})
	if err != nil {
		return 0, err
	}
	defer watch.Stop()
	for event := range watch.ResultChan() {
		job, ok := event.Object.(*batchv1.Job)
		if !ok {
			return 0, fmt.Errorf("watch: %v", event.Object)
		}
		if isComplete(job) {
			return time.Since(start), nil
		}
	}
	return 0, errors.New("watch ended before the Job was Complete")
}

// benchLabel is on all Jobs of bench.
const benchLabel = "procman-bench"

func bareJob() *batchv1.Job {
	return &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "bench-", Labels: map[string]string{benchLabel: ""}},
		Spec: batchv1.JobSpec{Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{
			RestartPolicy: corev1.RestartPolicyNever,
			Containers: []corev1.Container{{
				Name: "bare", Image: "procman.local/echo-worker:dev", Command: []string{"/procman/agent", "install", "/dev/null"},
			}},
		}}},
	}
}

func isComplete(job *batchv1.Job) bool {
	for _, c := range job.Status.Conditions {
		if c.Type == batchv1.JobComplete && c.Status == corev1.ConditionTrue {
			return true
		}
	}
	return false
}
