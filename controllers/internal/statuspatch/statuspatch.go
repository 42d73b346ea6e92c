// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

// Package statuspatch is the one way in which the operator writes the status of
// an object: a JSON merge patch (RFC 7386) that contains the UID of the object.
// Without the UID, a patch could reach another object that was created with the
// same name in the meantime.
package statuspatch

import (
	"context"
	"encoding/json"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Apply merges status into the status of o, whatever the current resourceVersion
// of o is. Use it for fields that have only one writer.
//
// The JSON of status is the patch: a field that it does not contain keeps its
// value, and null removes a field. Apply reads only name, namespace and UID of
// o, and does not change o. It returns a NotFound error if the object with this
// UID does not exist any more, and the error of the API server otherwise.
func Apply(ctx context.Context, c client.StatusClient, o client.Object, status any) error {
	err := patch(ctx, c, o, metadata{UID: o.GetUID()}, status)
	if apierrors.IsConflict(err) { // the patch has no resourceVersion, so the UID differs
		return apierrors.NewNotFound(schema.GroupResource{}, o.GetName())
	}
	return err
}

// ApplyLocked does what Apply does if o has not changed since it was read, and
// returns a Conflict error if it has. Use it if the patch depends on what o
// contained, and for lists such as conditions: a merge patch replaces the whole
// list.
func ApplyLocked(ctx context.Context, c client.StatusClient, o client.Object, status any) error {
	return patch(ctx, c, o, metadata{UID: o.GetUID(), ResourceVersion: o.GetResourceVersion()}, status)
}

type metadata struct {
	UID             types.UID `json:"uid"`
	ResourceVersion string    `json:"resourceVersion,omitempty"`
}

func patch(ctx context.Context, c client.StatusClient, o client.Object, m metadata, status any) error {
	body, err := json.Marshal(struct {
		Metadata metadata `json:"metadata"`
		Status   any      `json:"status"`
	}{m, status})
	if err != nil {
		return fmt.Errorf("encode status patch: %w", err)
	}
	response, ok := o.DeepCopyObject().(client.Object) // the client decodes the response into it
	if !ok {
		return fmt.Errorf("copy %T: not a client.Object", o)
	}
	return c.Status().Patch(ctx, response, client.RawPatch(types.MergePatchType, body))
}
