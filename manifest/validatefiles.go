package manifest

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// Limits of the files of one workload.
const (
	// MaxFiles is how many there may be.
	MaxFiles = 256
	// MaxFilesSize is how large their contents, as they are written, may be in
	// all, in bytes.
	MaxFilesSize = 4 << 20
	// MaxPathLength is the longest mount point, in bytes: Linux's PATH_MAX less
	// what stands before it on the agent.
	MaxPathLength = 3072
	// maxPathPart is the longest name of a file or directory, in bytes: Linux's
	// NAME_MAX.
	maxPathPart = 255
)

func validateFiles(w *argosyv1.Workload) *FieldError {
	files := w.GetFiles()
	if len(files) > MaxFiles {
		return wrong("files", "has %d entries, at most %d are allowed", len(files), MaxFiles)
	}
	size := 0
	for i, file := range files {
		path := fmt.Sprintf("files[%d]", i)
		if reason := wrongMountPoint(file.GetMountPoint()); reason != "" {
			return wrong(path+".mountPoint", "%s", reason)
		}
		switch content := file.GetContent().(type) {
		case *argosyv1.File_Data:
			size += len(content.Data)
		case *argosyv1.File_BinaryData:
			size += len(content.BinaryData)
			if isTemplate(w, content.BinaryData) {
				break
			}
			if _, err := decode(content.BinaryData); err != nil {
				return wrong(path+".binaryData", "is not base64 (standard alphabet, with padding): %s", err.Error())
			}
		default:
			return wrong(path, "has no content: add data or binaryData")
		}
		if size > MaxFilesSize {
			return wrong(path, "the contents of the files are larger than %d bytes together", MaxFilesSize)
		}
	}
	return wrongTogether(files)
}

// wrongMountPoint returns what is wrong with a mount point; empty for nothing.
func wrongMountPoint(path string) string {
	switch {
	case path == "":
		return "is missing: it tells where the workload finds the file"
	case len(path) > MaxPathLength:
		return fmt.Sprintf("is %d bytes long, at most %d are allowed", len(path), MaxPathLength)
	case path[0] != '/':
		return fmt.Sprintf("'%s' is not absolute: begin it with '/'", shorten(path))
	case path[len(path)-1] == '/':
		return fmt.Sprintf("'%s' ends in '/': a file is mounted, not a directory", shorten(path))
	case strings.ContainsFunc(path, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return fmt.Sprintf("%q has a control character", shorten(path))
	}
	for part := range strings.SplitSeq(path[1:], "/") {
		switch {
		case part == "" || part == "." || part == "..":
			return fmt.Sprintf("'%s' has the part '%s': write the path without '.', '..' and '//'", shorten(path), part)
		case len(part) > maxPathPart:
			return fmt.Sprintf("the part '%s' is %d bytes long, at most %d are allowed", shorten(part), len(part), maxPathPart)
		}
	}
	return ""
}

// wrongTogether finds two files at one place, and a file within a file.
func wrongTogether(files []*argosyv1.File) *FieldError {
	order := make([]int, len(files))
	for i := range order {
		order[i] = i
	}
	// With a "/" behind it, a path comes right before those below it.
	path := func(i int) string { return files[i].GetMountPoint() + "/" }
	slices.SortStableFunc(order, func(a, b int) int { return strings.Compare(path(a), path(b)) })
	for n := 1; n < len(order); n++ {
		above, below := order[n-1], order[n]
		field := fmt.Sprintf("files[%d].mountPoint", below)
		switch {
		case path(above) == path(below):
			return wrong(field, "'%s' is the mount point of files[%d] already", shorten(files[below].GetMountPoint()), above)
		case strings.HasPrefix(path(below), path(above)):
			return wrong(field, "'%s' is below '%s', which is a file", shorten(files[below].GetMountPoint()), shorten(files[above].GetMountPoint()))
		}
	}
	return nil
}

// DecodeBinary returns the bytes that the binaryData of a file stands for. White
// space in it is ignored. Errors wrap ErrInvalid.
func DecodeBinary(text string) ([]byte, error) {
	data, err := decode(text)
	if err != nil {
		return nil, fmt.Errorf("%w: read base64 (standard alphabet, with padding): %w", ErrInvalid, err)
	}
	return data, nil
}

func decode(text string) ([]byte, error) {
	compact := strings.Map(func(r rune) rune {
		if r == ' ' || r == '\n' || r == '\r' || r == '\t' {
			return -1
		}
		return r
	}, text)
	return base64.StdEncoding.Strict().DecodeString(compact)
}
