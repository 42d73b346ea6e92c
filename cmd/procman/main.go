// Command procman is the kit of those who write workers.
package main

import (
	"os"

	"procman.dev/procman/authorkit"
)

func main() { os.Exit(authorkit.Main(os.Args[1:], os.Stdout, os.Stderr)) }
