// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

// Package v1alpha1 is the Kubernetes API of Process Manager: Process, one piece of work,
// and ProcessType, the registration of a worker image.
//
// +kubebuilder:object:generate=true
// +groupName=procman.dev
package v1alpha1
