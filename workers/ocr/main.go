// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

// Command ocr-worker reads the text on page images. It is a worker as described in
// docs/contract.md, section 2, and runs tesseract, which its image contains.
//
// Its steps are: parse the request, find the pages of the file and the areas to read, run
// tesseract on the areas, remove characters of low confidence, and write the output.
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	err := run(ctx)
	if refusal, ok := errors.AsType[*refusal](err); ok {
		err = refusal.write(cmp.Or(os.Getenv("PROCESS_ERROR_FILE"), "/dev/stderr"))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "ocr-worker:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	input, err := os.ReadFile(os.Getenv("PROCESS_INPUT_FILE"))
	if err != nil {
		return fmt.Errorf("read input: %w", err)
	}
	out, err := read(ctx, input)
	if err != nil {
		return err
	}
	text, err := json.Marshal(out)
	if err != nil {
		return fmt.Errorf("encode output: %w", err)
	}
	return os.WriteFile(os.Getenv("PROCESS_OUTPUT_FILE"), text, 0o600)
}

// read returns the output for an input. The error is a refusal if the input is wrong.
func read(ctx context.Context, input []byte) (output, error) {
	r, err := parseRequest(input)
	if err != nil {
		return output{}, err
	}
	if err := r.checkLanguage(ctx); err != nil {
		return output{}, err
	}
	pages, err := findPages(r.file)
	if err != nil {
		return output{}, err
	}
	areas, err := r.areas(pages)
	if err != nil {
		return output{}, err
	}
	readings, err := recognize(ctx, r, pages, areas, func(done int) { reportProgress(100 * done / len(areas)) })
	if err != nil {
		return output{}, err
	}
	return newOutput(pages, readings, r.hasFields()), nil
}

// reportProgress reports the progress. Errors are ignored: they do not affect the
// work.
func reportProgress(percent int) {
	_ = os.WriteFile(os.Getenv("PROCESS_PROGRESS_FILE"), []byte(strconv.Itoa(percent)), 0o600)
}
