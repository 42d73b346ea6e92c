// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/binary"
)

// jpegEXIF, pngEXIF and webpEXIF return the main directory of the EXIF data in a file,
// which has its orientation and resolution. It is empty if there is none, or if it is
// damaged.
func jpegEXIF(file []byte) directory {
	for _, body := range segments(file, 0xe1) {
		if hasPrefix(body, exifPrefix) {
			return exifDirectory(body)
		}
	}
	return directory{}
}

func pngEXIF(file []byte) directory {
	return exifDirectory(pngChunks.find(file[8:], "eXIf"))
}

func webpEXIF(file []byte) directory {
	return exifDirectory(riffChunks.find(file[12:], "EXIF"))
}

func noEXIF([]byte) directory { return directory{} }

// exifPrefix precedes the EXIF data in a JPEG file. Some programs write it in other
// formats too.
const exifPrefix = "Exif\x00\x00"

func exifDirectory(data []byte) directory {
	data = bytes.TrimPrefix(data, []byte(exifPrefix))
	if directories, _ := tiffDirectories(data, false); len(directories) > 0 {
		return directories[0]
	}
	return directory{}
}

// segments returns the bodies of the segments of a JPEG file with this marker, before
// the image data (ITU-T T.81, annex B).
func segments(file []byte, marker byte) (bodies [][]byte) {
	const startOfScan, fill = 0xda, 0xff
	for rest := file[2:]; len(rest) >= 4 && rest[0] == fill && rest[1] != startOfScan; {
		if rest[1] == fill { // a marker may follow any number of fill bytes
			rest = rest[1:]
			continue
		}
		length := int(binary.BigEndian.Uint16(rest[2:]))
		if length < 2 || len(rest) < 2+length {
			break
		}
		if rest[1] == marker {
			bodies = append(bodies, rest[4:2+length])
		}
		rest = rest[2+length:]
	}
	return bodies
}

// layout describes the chunks of a file format.
type layout struct {
	order binary.ByteOrder
	// name and size are the positions of these values in the 8 bytes before the body.
	name, size int
	// after is the number of bytes between the body and the next chunk, which starts at a
	// multiple of align.
	after, align int64
}

var (
	pngChunks  = layout{order: binary.BigEndian, size: 0, name: 4, after: 4, align: 1} // a checksum follows the body
	riffChunks = layout{order: binary.LittleEndian, name: 0, size: 4, align: 2}
)

// find returns the body of the first chunk with this name; nil if there is none.
func (l layout) find(rest []byte, name string) []byte {
	for len(rest) >= 8 {
		end := 8 + int64(l.order.Uint32(rest[l.size:]))
		if end > int64(len(rest)) {
			return nil
		}
		if string(rest[l.name:l.name+4]) == name {
			return rest[8:end]
		}
		end += l.after
		end += (l.align - end%l.align) % l.align
		rest = rest[min(end, int64(len(rest))):]
	}
	return nil
}
