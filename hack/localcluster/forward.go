// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
)

// forwards maps a port of 127.0.0.1 to a NodePort.
type forwards map[int]int

// String formats the forwards as on the command line, in order.
func (f forwards) String() string {
	var parts []string
	for _, port := range slices.Sorted(maps.Keys(f)) {
		parts = append(parts, fmt.Sprintf("%d=%d", port, f[port]))
	}
	return strings.Join(parts, ",")
}

// Set adds one or more PORT=NODEPORT, separated by commas.
func (f forwards) Set(s string) error {
	for part := range strings.SplitSeq(s, ",") {
		left, right, _ := strings.Cut(part, "=")
		port, err1 := strconv.ParseUint(left, 10, 16)
		nodePort, err2 := strconv.ParseUint(right, 10, 16)
		if err1 != nil || err2 != nil || port == 0 || nodePort == 0 {
			return errors.New("expected PORT=NODEPORT, such as 3000=30300")
		}
		f[int(port)] = int(nodePort)
	}
	return nil
}

// serve listens on every port and forwards each connection to the node. It returns
// when it listens on all ports. The error has the port on which it cannot listen.
func (f forwards) serve(nodeIP string) error {
	for port, nodePort := range f {
		listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			return fmt.Errorf("forward port %d of 127.0.0.1: %w", port, err)
		}
		target := net.JoinHostPort(nodeIP, strconv.Itoa(nodePort))
		go func() {
			for {
				connection, err := listener.Accept()
				if err != nil {
					return
				}
				go pipe(connection, target)
			}
		}()
	}
	return nil
}

// pipe copies in both directions until both sides have closed.
func pipe(client net.Conn, target string) {
	defer func() { _ = client.Close() }()
	node, err := net.Dial("tcp", target)
	if err != nil {
		return
	}
	defer func() { _ = node.Close() }()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = io.Copy(node, client)
		_ = node.(*net.TCPConn).CloseWrite()
	}()
	_, _ = io.Copy(client, node)
	_ = client.(*net.TCPConn).CloseWrite()
	<-done
}
