// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// The keys of the Secret are the names of the environment variables that clients of S3
// read, so that a pod gets both with a secretKeyRef.
const (
	accessKey = "AWS_ACCESS_KEY_ID"
	secretKey = "AWS_SECRET_ACCESS_KEY"
)

// credentials are those of the one user.
type credentials struct{ access, secret string }

func (c credentials) complete() bool { return c.access != "" && c.secret != "" }

// secrets reads and writes Secrets of a namespace.
type secrets interface {
	Get(ctx context.Context, name string, options metav1.GetOptions) (*corev1.Secret, error)
	Update(ctx context.Context, secret *corev1.Secret, options metav1.UpdateOptions) (*corev1.Secret, error)
}

// loadCredentials returns the credentials in a Secret. If it has none, loadCredentials puts
// random ones into it.
func loadCredentials(ctx context.Context, in secrets, name string) (credentials, error) {
	for {
		secret, err := in.Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return credentials{}, fmt.Errorf("read secret %s: %w", name, err)
		}
		keys := credentials{string(secret.Data[accessKey]), string(secret.Data[secretKey])}
		if keys.complete() {
			return keys, nil
		}
		keys = credentials{rand.Text(), rand.Text()}
		secret.Data = map[string][]byte{accessKey: []byte(keys.access), secretKey: []byte(keys.secret)}
		switch _, err := in.Update(ctx, secret, metav1.UpdateOptions{}); {
		case err == nil:
			slog.Info("new credentials written", "secret", name)
			return keys, nil
		case !apierrors.IsConflict(err): // on a conflict, somebody else filled it
			return credentials{}, fmt.Errorf("write secret %s: %w", name, err)
		}
	}
}
