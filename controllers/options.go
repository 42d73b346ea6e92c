// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"errors"
	"flag"
	"fmt"
	"slices"
	"strconv"
	"time"

	"procman.dev/procman/api/v1alpha1"
	"procman.dev/procman/controllers/injection"
	"procman.dev/procman/controllers/internal/jobspec"
	"procman.dev/procman/controllers/processtype"
	"procman.dev/procman/internal/agentapi"
	"procman.dev/procman/internal/store"
)

// Options are the settings of the operator. Each one is a flag; AddFlags has their
// defaults and descriptions.
type Options struct {
	// Namespace contains the Processes, ProcessTypes and Jobs.
	Namespace string
	// Job is what the operator adds to every Job.
	Job jobspec.Config
	// PodSecurity is the level of the Pod Security Standard for the pods of process
	// types: restricted, baseline or privileged.
	PodSecurity string
	// Store is the URL of the object store.
	Store string
	// KeepCompleteJobs and KeepFailedJobs are how long a Job is kept after its process is
	// complete or in error; 0 means as long as the process.
	KeepCompleteJobs, KeepFailedJobs time.Duration
	// MaxStarting is how many processes may start at the same time, at most; 0 means
	// no limit.
	MaxStarting int
	// Concurrency is how many objects each controller reconciles at the same time.
	Concurrency int
}

// AddFlags defines one flag for each option.
func (o *Options) AddFlags(f *flag.FlagSet) {
	f.StringVar(&o.Namespace, "namespace", "procman", "namespace of the Processes, ProcessTypes and Jobs")
	f.StringVar(&o.Job.AgentImage, "agent-image", "", "image of the agent; required")
	f.StringVar(&o.Job.CollectorURL, "collector-url", "", "URL at which agents reach the collector; required")
	f.StringVar(&o.Job.ServiceAccount, "worker-service-account", "procman-worker", "service account of the worker pods, in the namespace")
	f.StringVar((*string)(&o.Job.AgentInjection), "agent-injection", string(injection.Auto), "how the agent gets into the workers of types that do not specify it: Embedded, ImageVolume, InitContainer, or Auto, which means ImageVolume if a probe shows that it works, and InitContainer otherwise")
	int32Var(f, &o.Job.GraceSeconds, "grace-seconds", 25, "seconds between SIGTERM and SIGKILL for a worker")
	int32Var(f, &o.Job.DeliverySeconds, "delivery-seconds", int32(agentapi.DeliveryTimeout.Seconds()), "seconds after the end of its worker for which an agent tries to deliver the result; the operator can be unavailable for that long")
	f.StringVar(&o.PodSecurity, "pod-security", "restricted", "Pod Security Standard that process types must satisfy: restricted, baseline or privileged")
	f.StringVar(&o.Store, "store", "", store.FlagUsage)
	f.DurationVar(&o.KeepCompleteJobs, "keep-complete-jobs", time.Minute, "how long the Job of a complete process is kept, with its pods and their logs; 0 means until the process expires")
	f.DurationVar(&o.KeepFailedJobs, "keep-failed-jobs", 10*time.Minute, "how long the Job of a process in error is kept, with its pods and their logs; 0 means until the process expires")
	f.IntVar(&o.MaxStarting, "max-starting", 64, "how many processes may start at the same time, at most; 0 means no limit")
	f.IntVar(&o.Concurrency, "concurrency", 16, "how many objects each controller reconciles at the same time")
}

// Validate returns an error that names every flag with an invalid value.
func (o *Options) Validate() error {
	var problems []error
	invalid := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	if o.Job.AgentImage == "" {
		invalid("--agent-image is not set")
	}
	if o.Job.CollectorURL == "" {
		invalid("--collector-url is not set")
	}
	if !slices.Contains([]v1alpha1.AgentInjection{injection.Auto, v1alpha1.AgentEmbedded, v1alpha1.AgentImageVolume, v1alpha1.AgentInitContainer}, o.Job.AgentInjection) {
		invalid("--agent-injection is %q, expected Auto, Embedded, ImageVolume or InitContainer", o.Job.AgentInjection)
	}
	if o.Store == "" {
		invalid("--store is not set")
	}
	if o.Job.GraceSeconds < 1 {
		invalid("--grace-seconds is %d, expected a positive number", o.Job.GraceSeconds)
	}
	if o.Job.DeliverySeconds < 1 {
		invalid("--delivery-seconds is %d, expected a positive number", o.Job.DeliverySeconds)
	}
	if o.KeepCompleteJobs < 0 {
		invalid("--keep-complete-jobs is %s, expected 0 or more", o.KeepCompleteJobs)
	}
	if o.KeepFailedJobs < 0 {
		invalid("--keep-failed-jobs is %s, expected 0 or more", o.KeepFailedJobs)
	}
	if o.MaxStarting < 0 {
		invalid("--max-starting is %d, expected 0 or more", o.MaxStarting)
	}
	if o.Concurrency < 1 {
		invalid("--concurrency is %d, expected a positive number", o.Concurrency)
	}
	if _, err := processtype.NewPolicy(o.PodSecurity); err != nil {
		invalid("--pod-security: %w", err)
	}
	return errors.Join(problems...)
}

// int32Var defines a flag for an int32, which package flag does not have.
func int32Var(f *flag.FlagSet, target *int32, name string, value int32, usage string) {
	*target = value
	f.Func(name, fmt.Sprintf("%s (default %d)", usage, value), func(text string) error {
		parsed, err := strconv.ParseInt(text, 10, 32)
		*target = int32(parsed)
		return err
	})
}
