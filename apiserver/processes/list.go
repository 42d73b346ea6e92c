// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package processes

import (
	"context"
	"errors"

	"k8s.io/apimachinery/pkg/types"

	"procman.dev/procman/api/v1alpha1"
	"procman.dev/procman/internal/budget"
	"procman.dev/procman/internal/wire"
)

const (
	// maxPageBytes is the size at which a page is full.
	maxPageBytes = 2 << 20
	// smallPageBytes is the size of the largest page that is not counted as a large
	// answer.
	smallPageBytes = 64 << 10
)

// Query selects processes of a type.
type Query struct {
	State  v1alpha1.State    // "" for all
	Labels map[string]string // all of these
	Limit  int               // 1 or more
	After  Position
	Show   wire.Payloads
}

// Page is a page of a list. Close it when it has been sent.
type Page struct {
	Items []*Body  // each the JSON of one process
	Next  Position // the After of the next page
	More  bool     // whether there is a next page

	memory *budget.Reservation // nil if it is small
}

// Close releases the memory of the page.
func (p Page) Close() {
	if p.memory != nil {
		p.memory.Release()
	}
}

// List returns a page of the processes of a type, the newest first. A page starts
// behind a position and not behind a process, so that processes that expire or are
// deleted between two pages do not disturb the list. The caller closes the page.
//
// It returns a BusyError if too many large answers are being sent.
func (s *Store) List(ctx context.Context, typeName types.NamespacedName, q Query) (page Page, err error) {
	now := s.clock.Now()
	selects := func(p *v1alpha1.Process) bool {
		for name, value := range q.Labels {
			if actual, ok := p.Spec.Labels[name]; !ok || actual != value {
				return false
			}
		}
		return !p.Expired(now) && (q.State == "" || q.State == wire.State(p))
	}
	var found []*v1alpha1.Process
	large, size := false, 0
	s.cache.after(typeName, q.After, func(p *v1alpha1.Process) bool {
		if !selects(p) {
			return true
		}
		if page.More = len(found) == q.Limit; page.More {
			return false
		}
		found = append(found, p)
		large = large || !hasPayloads(p, q.Show)
		size += len(p.Status.ErrorDetails)
		if q.Show.Input {
			size += len(p.Spec.Input)
		}
		if q.Show.Output {
			size += len(p.Status.Output)
		}
		return true
	})
	if large || size > smallPageBytes {
		if page.memory, err = s.large.reserve(ctx, 2*maxPageBytes+maxObjectBytes); err != nil {
			return Page{}, err
		}
	}
	bytes := int64(0)
	for n, p := range found {
		page.Next = positionOf(p)
		if !hasPayloads(p, q.Show) {
			p, err = s.readWithPayloads(ctx, p)
			if errors.Is(err, ErrNotFound) || errors.Is(err, ErrExpired) {
				continue
			}
			if err != nil {
				page.Close()
				return Page{}, err
			}
			if !selects(p) {
				continue // its state has changed
			}
		}
		item := s.newBody(p, s.json(p, q.Show, s.QueuePosition(p)))
		page.Items = append(page.Items, item)
		if bytes += item.Bytes(); bytes >= maxPageBytes && n < len(found)-1 {
			page.More = true
			break
		}
	}
	return page, nil
}
