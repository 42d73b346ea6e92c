// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

// Command etcd is the stock etcd server, under its usual name.
package main

import (
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

func main() { etcdmain.Main(os.Args) }
