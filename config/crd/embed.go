// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

// Package crd embeds the CustomResourceDefinitions, for programs that check objects
// without a cluster.
package crd

import _ "embed"

// ProcessTypes is the YAML of the CustomResourceDefinition of ProcessType.
//
//go:embed bases/procman.dev_processtypes.yaml
var ProcessTypes []byte
