// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package main

func up(options) error              { return errUnsupported }
func down(options) error            { return errUnsupported }
func status(options) error          { return errUnsupported }
func loadImages(options) error      { return errUnsupported }
func printKubeconfig(options) error { return errUnsupported }
func printLog(options) error        { return errUnsupported }
func killComponent(options) error   { return errUnsupported }
func runNode(options) error         { return errUnsupported }
func runInit(options) error         { return errUnsupported }
