// Command ocr-worker reads the text on page images. It runs tesseract, which its
// image brings, and is a worker as CONTRACT.md, section 2, describes.
//
// One pipeline: the request, the pages of the file, the areas to read on them,
// tesseract's reading of each, what of it is sure enough, the output.
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
	text, err := os.ReadFile(os.Getenv("PROCESS_INPUT_FILE"))
	if err != nil {
		return fmt.Errorf("read input: %w", err)
	}
	r, err := parseRequest(text)
	if err != nil {
		return err
	}
	if err := r.checkLanguage(ctx); err != nil {
		return err
	}
	pages, err := findPages(r.file)
	if err != nil {
		return err
	}
	areas, err := r.areas(pages)
	if err != nil {
		return err
	}
	readings, err := recognize(ctx, r, pages, areas, func(done int) { reportProgress(100 * done / len(areas)) })
	if err != nil {
		return err
	}
	output, err := json.Marshal(newOutput(pages, readings, r.hasFields()))
	if err != nil {
		return fmt.Errorf("encode output: %w", err)
	}
	return os.WriteFile(os.Getenv("PROCESS_OUTPUT_FILE"), output, 0o600)
}

// reportProgress tells how far the work is; nothing depends on its arrival.
func reportProgress(percent int) {
	_ = os.WriteFile(os.Getenv("PROCESS_PROGRESS_FILE"), []byte(strconv.Itoa(percent)), 0o600)
}
