// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package collector

import (
	"context"
	"net"

	"sigs.k8s.io/controller-runtime/pkg/manager"

	"procman.dev/procman/internal/agentapi/agentserver"
)

// Server serves a collector on every replica of the operator.
type Server struct {
	Options
	Listener net.Listener
}

// SetupWithManager lets the manager run the server. A manager.Server without
// OnlyServeWhenLeader runs on every replica.
func (s *Server) SetupWithManager(_ context.Context, mgr manager.Manager) error {
	return mgr.Add(&manager.Server{Name: "collector", Server: agentserver.NewServer(New(s.Options)), Listener: s.Listener})
}
