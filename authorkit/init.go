// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package authorkit

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"procman.dev/procman/authorkit/scaffold"
)

func newInit() *cobra.Command {
	var template, dir string
	c := &cobra.Command{
		Use:   "init NAME --template " + strings.Join(scaffold.Templates(), "|"),
		Short: "Create the project of a new worker",
		Long: `Create the project of a new worker: a program that works, its Dockerfile, its
ProcessType with schemas and examples, an input to try, and a README with the
next steps. Existing files are never overwritten.

NAME becomes the name of the ProcessType, which is part of URLs: at most 63
characters of a-z, 0-9 and -.`,
		Example: `  procman worker init wordcount --template python
  procman worker init wordcount --template go --dir workers/wordcount`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			name := args[0]
			if dir == "" {
				dir = name
			}
			files, err := scaffold.Write(dir, name, template)
			if err != nil {
				return err
			}
			out := c.OutOrStdout()
			for _, file := range files {
				_, _ = fmt.Fprintln(out, filepath.Join(dir, file))
			}
			_, err = fmt.Fprintf(out, "\nNext: cd %s; README.md lists the commands.\n", dir)
			return err
		},
	}
	c.Flags().StringVar(&template, "template", "", "language of the worker: "+strings.Join(scaffold.Templates(), ", "))
	c.Flags().StringVar(&dir, "dir", "", "`DIR` to write to (default: NAME)")
	_ = c.RegisterFlagCompletionFunc("template", cobra.FixedCompletions(scaffold.Templates(), cobra.ShellCompDirectiveNoFileComp)) // fails only for an unknown flag
	return c
}
