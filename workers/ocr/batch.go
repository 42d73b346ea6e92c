package main

import (
	"cmp"
	"context"
	"image"
	"image/draw"
	"runtime/debug"
	"slices"
)

// margin is the white border, in pixels, that is put around a field: letters
// that touch the edge are read badly.
const margin = 16

// Bounds of the pictures that are written for one run of tesseract. A larger
// page is a batch of its own.
const (
	maxBatchPixels = 25_000_000
	maxBatchAreas  = 200
)

// batch is what one run of tesseract reads, in the same way.
type batch struct {
	areas []area
	// resolution is in dots per inch; 0 leaves it to tesseract to guess.
	resolution int
}

// batches divides the areas, page by page, into as few runs as there can be: a
// run costs more time to start than a small field to read.
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

// decoder decodes pages one after the other and keeps the last: areas come page
// by page, and only one page is in memory.
type decoder struct {
	pages   []page
	number  int // of the page kept, from 1; 0 when there is none
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

// release gives back what decoding took when that is much, since both count
// against one limit. The page is then decoded again if more of it is to be read.
func (d *decoder) release() {
	if d.picture == nil || len(d.picture.Pix) <= maxBatchPixels {
		return
	}
	d.number, d.picture = 0, nil
	debug.FreeOSMemory()
}

// picture is what tesseract is given of an area, and where that comes from: the
// page itself, or a field of it with a margin around.
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
