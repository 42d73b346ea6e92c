// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"image"
	"image/draw"
	"runtime/debug"
	"slices"
)

// margin is the width, in pixels, of the white border that is added around a field.
// Tesseract misreads letters that touch the edge of a picture.
const margin = 16

// Bounds of a batch. A page that is larger is a batch of its own.
const (
	maxBatchPixels = 25_000_000
	maxBatchAreas  = 200
)

// batch is the areas that one run of tesseract reads, all with the same options.
type batch struct {
	areas []area
	// resolution is in dots per inch. 0 lets tesseract estimate it.
	resolution int
}

// batches divides the areas, in the order of their pages, into as few batches as
// possible, because starting tesseract takes longer than reading a small field.
func batches(pages []page, areas []area, defaultResolution int) []batch {
	areas = slices.Clone(areas)
	slices.SortStableFunc(areas, func(a, b area) int { return cmp.Compare(a.page, b.page) })
	var all []batch
	pixels := 0
	for _, a := range areas {
		resolution := pages[a.page-1].resolutionOr(defaultResolution)
		pixels += a.Width * a.Height
		if n := len(all); n > 0 && all[n-1].resolution == resolution && pixels <= maxBatchPixels && len(all[n-1].areas) < maxBatchAreas {
			all[n-1].areas = append(all[n-1].areas, a)
			continue
		}
		all = append(all, batch{areas: []area{a}, resolution: resolution})
		pixels = a.Width * a.Height
	}
	return all
}

// decoder decodes pages and keeps the last one. Areas are in the order of their pages,
// so each page is decoded once and only one is in memory.
type decoder struct {
	pages   []page
	number  int // number of the page in picture, from 1; 0 if there is none
	picture *image.Gray
}

func (d *decoder) page(ctx context.Context, number int) (*image.Gray, error) {
	if d.number == number {
		return d.picture, nil
	}
	d.number, d.picture = 0, nil
	picture, err := d.pages[number-1].decode(ctx)
	if err != nil {
		return nil, err
	}
	d.number, d.picture = number, picture
	return picture, nil
}

// release frees the memory of a large page before tesseract runs, because both share
// one memory limit. If more areas of the page follow, it is decoded again.
func (d *decoder) release() {
	if d.picture == nil || len(d.picture.Pix) <= maxBatchPixels {
		return
	}
	d.number, d.picture = 0, nil
	debug.FreeOSMemory()
}

// picture returns the picture of an area for tesseract: the page itself, or a field with
// a margin around it. The frame is the position of the picture on the page.
func (a area) picture(from *image.Gray) (*image.Gray, frame) {
	if a.whole {
		return from, frame{within: a.rectangle()}
	}
	target := image.NewGray(image.Rect(0, 0, a.Width+2*margin, a.Height+2*margin))
	draw.Draw(target, target.Bounds(), image.White, image.Point{}, draw.Src)
	inner := image.Rect(margin, margin, margin+a.Width, margin+a.Height)
	draw.Draw(target, inner, from, a.rectangle().Min, draw.Src)
	return target, frame{origin: a.rectangle().Min.Sub(inner.Min), within: a.rectangle()}
}
