// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

// Command images assembles the project's container images without a registry
// and without a container engine, as docker-archive tarballs:
//
//	go run ./hack/images -out DIR [-tag TAG] [NAME...]
//	go run ./hack/images -push REGISTRY [-tag TAG] [NAME...]
//	go run ./hack/images -out DIR -image IMAGE -worker DIR [-packages PACKAGE,...]
//
// The first form writes tarballs of procman.local/NAME:TAG. The second pushes
// REGISTRY/NAME:TAG with the credentials of docker login. The third writes the
// tarball of a worker's image: the files of a directory in /worker, with Debian
// packages and the agent. The same sources always give the same bytes. Releases are
// built with the Dockerfiles instead.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// program is a Go program and its path in an image.
type program struct {
	pkg, path string
	// module is the directory of its module; "" means the product's.
	module string
}

// recipe describes the contents of an image.
type recipe struct {
	name     string
	programs []program
	// worker is a directory whose files are copied to /worker. Empty means none.
	worker string
	// packages are Debian packages. If there are none, the image has no operating system.
	packages   []string
	entrypoint []string
}

var agent = program{pkg: "./cmd/agent", path: "procman/agent"}

var recipes = []recipe{
	{name: "operator", programs: []program{{pkg: "./cmd/operator", path: "operator"}}, entrypoint: []string{"/operator"}},
	{name: "apiserver", programs: []program{{pkg: "./cmd/apiserver", path: "apiserver"}}, entrypoint: []string{"/apiserver"}},
	{name: "store", programs: []program{{pkg: ".", path: "store", module: "cmd/store"}}, entrypoint: []string{"/store"}},
	{name: "agent", programs: []program{agent}, entrypoint: []string{"/procman/agent"}},
	{name: "echo-worker", programs: []program{agent, {pkg: "./workers/echo", path: "echo-worker"}}, entrypoint: []string{"/echo-worker"}},
	{
		name: "ocr-worker", programs: []program{agent, {pkg: "./workers/ocr", path: "ocr-worker"}}, entrypoint: []string{"/ocr-worker"},
		packages: []string{"tesseract-ocr", "tesseract-ocr-eng", "tesseract-ocr-osd", "imagemagick-6.q16"},
	},
	{
		name: "pdftext-worker", programs: []program{agent, {pkg: "./workers/pdftext", path: "pdftext-worker"}}, entrypoint: []string{"/pdftext-worker"},
		packages: []string{"poppler-utils", "poppler-data"}, // poppler-data has the encodings of East Asian texts
	},
}

func main() {
	out := flag.String("out", "out/images", "directory for the tarballs")
	push := flag.String("push", "", "registry and path to push to, instead of writing tarballs")
	tag := flag.String("tag", "dev", "tag of the images")
	image := flag.String("image", "", "image of a worker, such as registry.example/wordcount:1")
	worker := flag.String("worker", "", "directory with the files of that worker")
	packages := flag.String("packages", "", "Debian packages of that worker, separated by commas")
	flag.Parse()
	var err error
	if *image == "" {
		err = run(*out, *push, *tag, flag.Args())
	} else {
		err = assembleWorker(*out, *image, *worker, *packages)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "images:", err)
		os.Exit(1)
	}
}

func run(out, push, tag string, names []string) error {
	wanted, err := choose(names)
	if err != nil {
		return err
	}
	// This directory is not in the user's cache, because there two checkouts would
	// overwrite each other's programs.
	programs := filepath.Join(out, ".programs")
	if err := os.MkdirAll(programs, 0o755); err != nil {
		return fmt.Errorf("create output directory: %w", err)
	}
	locked, err := lock(filepath.Join(out, ".lock"))
	if err != nil {
		return err
	}
	defer func() { _ = locked.Close() }()
	if push != "" {
		for _, r := range wanted {
			if err := r.push(push+"/"+r.name+":"+tag, programs); err != nil {
				return fmt.Errorf("push %s: %w", r.name, err)
			}
		}
		return nil
	}
	for _, r := range wanted {
		start := time.Now()
		path := filepath.Join(out, r.name+".tar")
		changed, err := r.assemble(path, "procman.local/"+r.name+":"+tag, programs)
		if err != nil {
			return fmt.Errorf("assemble %s: %w", r.name, err)
		}
		if changed {
			fmt.Printf("  image %s assembled in %.1f s\n", r.name, time.Since(start).Seconds())
		}
	}
	return nil
}

// assembleWorker writes the tarball of a worker's image to the directory out.
func assembleWorker(out, image, worker, packages string) error {
	r := recipe{
		name: "worker", programs: []program{agent}, worker: worker,
		packages: strings.FieldsFunc(packages, func(c rune) bool { return c == ',' }),
	}
	programs := filepath.Join(out, ".programs")
	if err := os.MkdirAll(programs, 0o755); err != nil {
		return fmt.Errorf("create output directory: %w", err)
	}
	start := time.Now()
	if _, err := r.assemble(filepath.Join(out, "worker.tar"), image, programs); err != nil {
		return fmt.Errorf("assemble %s: %w", image, err)
	}
	fmt.Printf("  image %s assembled in %.1f s\n", image, time.Since(start).Seconds())
	return nil
}

// choose returns the recipes with the given names, or all if no name is given.
func choose(names []string) ([]recipe, error) {
	if len(names) == 0 {
		return recipes, nil
	}
	var chosen []recipe
	for _, name := range names {
		i := slices.IndexFunc(recipes, func(r recipe) bool { return r.name == name })
		if i < 0 {
			var known []string
			for _, r := range recipes {
				known = append(known, r.name)
			}
			return nil, fmt.Errorf("no image %q, expected one of %s", name, strings.Join(known, ", "))
		}
		chosen = append(chosen, recipes[i])
	}
	return chosen, nil
}
