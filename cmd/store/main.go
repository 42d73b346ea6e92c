// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

// Command store is the object store of the default installation: versitygw, an S3 server,
// on a directory. It has one bucket, and one user, whose credentials it creates.
//
// It is a module of its own, because versitygw requires many modules which the product does
// not need.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/versity/versitygw/backend/meta"
	"github.com/versity/versitygw/backend/posix"
	"github.com/versity/versitygw/embedgw"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

const (
	// bucket is the one bucket.
	bucket = "procman"
	// healthPath is answered without credentials. Its name is not a bucket.
	healthPath = "/healthz"
	// Bounds of what clients can use up. A request takes a buffer of bufferBytes.
	maxConnections = 1024
	maxRequests    = 128
	bufferBytes    = 128 << 10
	// maxCopyBytes is the size up to which an object can be copied, as in S3. The default
	// of versitygw as a library is 0.
	maxCopyBytes = 5 << 30
)

func main() {
	slog.SetDefault(slog.New(slog.NewJSONHandler(os.Stderr, nil)))
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		slog.Error("store ended", "error", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("store", flag.ContinueOnError)
	directory := flags.String("directory", "/data", "directory of the objects")
	address := flags.String("bind-address", ":7070", "address on which S3 is served")
	namespace := flags.String("secret-namespace", os.Getenv("POD_NAMESPACE"), "namespace of the Secret with the credentials; $POD_NAMESPACE by default")
	secret := flags.String("secret", "procman-store", "name of that Secret")
	if err := flags.Parse(args); err != nil {
		return err
	}
	keys := credentials{access: os.Getenv(accessKey), secret: os.Getenv(secretKey)}
	if !keys.complete() {
		config, err := rest.InClusterConfig()
		if err != nil {
			return fmt.Errorf("find the cluster, because %s and %s are not set: %w", accessKey, secretKey, err)
		}
		client, err := kubernetes.NewForConfig(config)
		if err != nil {
			return fmt.Errorf("make a client of the cluster: %w", err)
		}
		if keys, err = loadCredentials(ctx, client.CoreV1().Secrets(*namespace), *secret); err != nil {
			return err
		}
	}
	return serve(ctx, *directory, *address, keys)
}

// serve serves the objects in a directory until ctx ends. It works in that directory from
// then on.
func serve(ctx context.Context, directory, address string, keys credentials) error {
	directory, err := filepath.Abs(directory) // posix.New changes the working directory
	if err != nil {
		return fmt.Errorf("find the directory of the objects: %w", err)
	}
	objects, attributes := filepath.Join(directory, "objects"), filepath.Join(directory, "attributes")
	if err := os.MkdirAll(filepath.Join(objects, bucket), 0o700); err != nil {
		return fmt.Errorf("create the bucket: %w", err)
	}
	if err := syncUpTo(directory, filepath.Join(objects, bucket)); err != nil {
		return fmt.Errorf("write the bucket to the disk: %w", err)
	}
	if err := removeLeftovers(filepath.Join(objects, bucket)); err != nil {
		return fmt.Errorf("remove what was not finished: %w", err)
	}
	options := posix.PosixOpts{IOBufferSize: bufferBytes, ForceNoObjLockFile: true, CopyObjectThreshold: maxCopyBytes, NewDirPerm: 0o700, NewFilePerm: 0o600}
	storer := meta.MetadataStorer(meta.XattrMeta{})
	if err := (meta.XattrMeta{}).Test(objects); err != nil {
		// Some file systems, such as NFS, have no attributes for users.
		slog.Info("attributes of objects are files, because the file system has none", "cause", err)
		sidecar, err := makeSidecar(attributes)
		if err != nil {
			return err
		}
		storer, options.SideCarDir = sidecar, attributes
	}
	files, err := posix.New(objects, storer, options)
	if err != nil {
		return fmt.Errorf("open %s: %w", objects, err)
	}
	d := &durable{Posix: files, objects: objects, attributes: options.SideCarDir}
	slog.Info("serving", "address", address, "directory", directory)
	err = embedgw.RunVersityGW(ctx, d, &embedgw.Config{
		RootUserAccess: keys.access, RootUserSecret: keys.secret, Ports: []string{address},
		MaxConnections: maxConnections, MaxRequests: maxRequests, MultipartMaxParts: 10_000,
		HealthPath: healthPath, KeepAlive: true, DisableACLs: true, Quiet: true,
	})
	if err != nil && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("serve S3: %w", err)
	}
	return nil
}

func makeSidecar(directory string) (meta.MetadataStorer, error) {
	if err := os.MkdirAll(directory, 0o700); err != nil {
		return nil, fmt.Errorf("create the directory of attributes: %w", err)
	}
	if err := syncPath(filepath.Dir(directory)); err != nil {
		return nil, fmt.Errorf("write the directory of attributes to the disk: %w", err)
	}
	sidecar, err := meta.NewSideCar(directory)
	if err != nil {
		return nil, fmt.Errorf("open the directory of attributes: %w", err)
	}
	return sidecar, nil
}
