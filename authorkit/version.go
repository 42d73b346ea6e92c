// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package authorkit

import (
	"cmp"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"procman.dev/procman/api/v1alpha1"
)

func newVersion() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version of this program and of its Kubernetes API",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			version, revision := "(devel)", ""
			if info, ok := debug.ReadBuildInfo(); ok {
				version = cmp.Or(info.Main.Version, version)
				for _, s := range info.Settings {
					if s.Key == "vcs.revision" {
						revision = " " + s.Value
					}
				}
			}
			_, err := fmt.Fprintf(c.OutOrStdout(), "procman %s%s, %s, %s/%s, %s\n",
				version, revision, v1alpha1.GroupVersion, runtime.GOOS, runtime.GOARCH, runtime.Version())
			return err
		},
	}
}
