// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

// Package schemes registers the kinds of stores that need a library of their vendor: s3, gs
// and azblob. Programs import it; their packages and tests need only directories, and so do
// not have to compile these libraries.
package schemes

import (
	_ "gocloud.dev/blob/azureblob"
	_ "gocloud.dev/blob/gcsblob"
	_ "gocloud.dev/blob/s3blob"
)
