// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestCheckName(t *testing.T) {
	for name, fine := range map[string]bool{"run": true, "dev2": true, "": false, "a-b": false, "Run": false, "../x": false, "abcdefghijklm": false} {
		if err := checkName(name); (err == nil) != fine {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestForwards(t *testing.T) {
	f := forwards{}
	for _, argument := range []string{"3000=30300", "4000=30400,5000=30500"} {
		if err := f.Set(argument); err != nil {
			t.Fatal(err)
		}
	}
	if got := f.String(); got != "3000=30300,4000=30400,5000=30500" {
		t.Errorf("got %s", got)
	}
	for _, wrong := range []string{"3000", "a=b", "70000=1", ""} {
		if err := (forwards{}).Set(wrong); err == nil {
			t.Errorf("%q was accepted", wrong)
		}
	}
}

func TestForwardedConnectionsArePiped(t *testing.T) {
	node, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { // answers when the client has closed its side
		connection, err := node.Accept()
		if err == nil {
			text, _ := io.ReadAll(connection)
			_, _ = connection.Write([]byte(strings.ToUpper(string(text))))
			_ = connection.Close()
		}
	}()

	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		if connection, err := listener.Accept(); err == nil {
			pipe(connection, node.Addr().String())
		}
	}()
	connection, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	_, _ = connection.Write([]byte("hello"))
	_ = connection.(*net.TCPConn).CloseWrite()
	if got, err := io.ReadAll(connection); err != nil || string(got) != "HELLO" {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestForwardNamesThePortInUse(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	port := taken.Addr().(*net.TCPAddr).Port
	if err := (forwards{port: 30300}).serve("127.0.0.1"); err == nil || !strings.Contains(err.Error(), fmt.Sprint(port)) {
		t.Errorf("got %v", err)
	}
}

func TestCertificates(t *testing.T) {
	dir := t.TempDir()
	ca, err := openAuthority(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := ca.issue("server", "the-user", []string{"the-group"}, "localhost", "10.0.0.1"); err != nil {
		t.Fatal(err)
	}
	server, err := ca.read("server")
	if err != nil {
		t.Fatal(err)
	}
	cert, roots := server.Leaf, x509.NewCertPool()
	roots.AddCert(ca.ca.Leaf)
	for _, host := range []string{"localhost", "10.0.0.1"} {
		if _, err := cert.Verify(x509.VerifyOptions{DNSName: host, Roots: roots}); err != nil {
			t.Errorf("as %s: %v", host, err)
		}
	}
	if cert.Subject.CommonName != "the-user" || cert.Subject.Organization[0] != "the-group" {
		t.Errorf("the subject is %s", cert.Subject)
	}
	// A complete pair is kept, a broken one is replaced.
	again, err := openAuthority(dir)
	if err != nil || !again.ca.Leaf.Equal(ca.ca.Leaf) {
		t.Errorf("the authority was replaced: %v", err)
	}
	if err := os.Truncate(filepath.Join(dir, "server.crt"), 10); err != nil {
		t.Fatal(err)
	}
	if err := again.issue("server", "the-user", nil); err != nil {
		t.Fatal(err)
	}
	if _, err := ca.read("server"); err != nil {
		t.Errorf("a broken certificate was kept: %v", err)
	}
}

func TestKubernetesVersion(t *testing.T) {
	if v := kubernetesVersion(); !strings.HasPrefix(v, "v1.") {
		t.Errorf("the version of Kubernetes is %q", v)
	}
}
