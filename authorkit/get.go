// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package authorkit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"

	"github.com/spf13/cobra"

	"procman.dev/procman/internal/strictjson"
)

// getFlags are the flags of procman get.
type getFlags struct {
	namespace, service string
	input, output      bool
}

func newGet() *cobra.Command {
	var flags getFlags
	c := &cobra.Command{
		Use:   "get ID [--input | --output] [-n NAMESPACE]",
		Short: "Print a process of the cluster, or its input or output",
		Long: `Print a process of the cluster as a GET returns it, or only its input or output,
byte for byte and of any size. kubectl get process prints only those that are in
the Process itself: at most 16 KiB.

It runs kubectl, with its cluster and its rights: to read the Process, and to
connect to the facade through the API server (services/proxy). Put procman into
your PATH under the name kubectl-procman to call it as kubectl procman get.`,
		Example: `  procman get 01lgifgf2cjrlo44gohb4ldglc0t5ua9odnn5kfp --output >output.json`,
		Args:    cobra.ExactArgs(1),
		RunE:    func(c *cobra.Command, args []string) error { return flags.get(c, args[0]) },
	}
	f := c.Flags()
	f.StringVarP(&flags.namespace, "namespace", "n", "procman", "`NAMESPACE` of the process")
	f.StringVar(&flags.service, "facade", "procman-system/procman-apiserver", "`NAMESPACE/SERVICE` of the facade")
	f.BoolVar(&flags.input, "input", false, "print only the input")
	f.BoolVar(&flags.output, "output", false, "print only the output")
	c.MarkFlagsMutuallyExclusive("input", "output")
	return c
}

func (f *getFlags) get(c *cobra.Command, id string) error {
	namespace, service, ok := strings.Cut(f.service, "/")
	if !ok {
		return fmt.Errorf("--facade is %q, expected NAMESPACE/SERVICE", f.service)
	}
	processType, err := kubectl(c.Context(), "get", "process", id, "--namespace", f.namespace, "--output", "jsonpath={.spec.type}")
	if err != nil {
		return err
	}
	include, member := "input,output", ""
	switch {
	case f.input:
		include, member = "input", "input"
	case f.output:
		include, member = "output", "output"
	}
	body, err := kubectl(c.Context(), "get", "--raw", fmt.Sprintf("/api/v1/namespaces/%s/services/%s:http/proxy/v1/processes/%s/%s?include=%s",
		namespace, service, processType, id, include))
	if err != nil {
		return err
	}
	if member != "" {
		if body, err = memberOf(body, member); err != nil {
			return fmt.Errorf("process %s: %w", id, err)
		}
	}
	_, err = fmt.Fprintf(c.OutOrStdout(), "%s\n", bytes.TrimSpace(body))
	return err
}

// memberOf returns the input or the output in the JSON of a process.
func memberOf(body []byte, name string) ([]byte, error) {
	process, err := strictjson.ParseMembers(bytes.TrimSpace(body))
	if err != nil {
		return nil, fmt.Errorf("the answer of the facade: %w", err)
	}
	if value, ok := process.Member(name); ok {
		return value.Raw(), nil
	}
	state, _ := process.Member("state")
	return nil, fmt.Errorf("it has no %s, its state is %s", name, state.Text())
}

// kubectl runs kubectl and returns what it prints. The error has its message.
func kubectl(ctx context.Context, args ...string) ([]byte, error) {
	command := exec.CommandContext(ctx, "kubectl", args...)
	var stderr strings.Builder
	command.Stderr = &stderr
	out, err := command.Output()
	if errors.Is(err, exec.ErrNotFound) {
		return nil, errors.New("kubectl is not in your PATH")
	}
	if err != nil {
		return nil, fmt.Errorf("kubectl: %s", strings.TrimSpace(stderr.String()))
	}
	return out, nil
}
