package neighbours

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"

	"google.golang.org/protobuf/proto"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// The file is a check sum, 4 bytes, and a Neighbours message.

const sumSize = 4

var (
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
	errDamaged = errors.New("the content does not match its check sum")
)

// readFile returns an empty message when there is no file.
func readFile(path string) (*argosyv1.Neighbours, error) {
	m := &argosyv1.Neighbours{}
	if path == "" {
		return m, nil
	}
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return m, nil
	}
	if err != nil {
		return m, fmt.Errorf("read neighbours: %w", err)
	}
	if len(raw) < sumSize || binary.BigEndian.Uint32(raw) != crc32.Checksum(raw[sumSize:], castagnoli) {
		return m, fmt.Errorf("read neighbours: %w", errDamaged)
	}
	if err := proto.Unmarshal(raw[sumSize:], m); err != nil {
		return &argosyv1.Neighbours{}, fmt.Errorf("read neighbours: %w", err)
	}
	return m, nil
}

// writeFile replaces the file. It is not flushed: a file that a power loss
// damages is the same as none.
func writeFile(path string, m *argosyv1.Neighbours) error {
	if path == "" {
		return nil
	}
	raw, err := proto.MarshalOptions{}.MarshalAppend(make([]byte, sumSize), m)
	if err != nil {
		return fmt.Errorf("write neighbours: %w", err)
	}
	binary.BigEndian.PutUint32(raw, crc32.Checksum(raw[sumSize:], castagnoli))
	next := filepath.Clean(path) + ".new"
	if err := os.WriteFile(next, raw, 0o600); err != nil {
		return fmt.Errorf("write neighbours: %w", err)
	}
	if err := os.Rename(next, path); err != nil {
		return fmt.Errorf("write neighbours: %w", err)
	}
	return nil
}
