package storage

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"os"
	"time"

	wal "github.com/hashicorp/raft-wal"
	"github.com/hashicorp/raft-wal/segment"
	"github.com/hashicorp/raft-wal/types"
)

// settle makes certain, before raft-wal opens a log, that what will be read of
// it is on the disk, and that nothing else is there to be taken for entries:
//
//   - A flush that failed leaves what was written in the page cache, where the
//     next process finds it, but the kernel does not write it any more. So the
//     table of files and the last batch are written and flushed once more.
//   - What was half written is overwritten by zeros. raft-wal would leave it
//     there and verify only the last of what looks like a batch.
//   - raft-wal closes a file to entries first and begins the next one later. It
//     opens a log that ended in between, and then takes no entry for ever. The
//     next file is begun here.
//
// Where acknowledged entries are missing nothing is changed: the log is refused
// for that later, and is evidence.
func settle(dir string, files types.VFS, table types.MetaStore, acknowledged uint64) error {
	state, err := table.Load(dir)
	if err != nil {
		return err
	}
	if len(state.Segments) == 0 {
		return nil
	}
	last := len(state.Segments) - 1
	for i, info := range state.Segments {
		if !info.SealTime.IsZero() {
			if err := checkIndex(dir, files, info); err != nil {
				return err
			}
		} else if i == last {
			if err := settleTail(dir, files, &state, acknowledged); err != nil {
				return err
			}
		}
	}
	// Names in the directory are flushed by whoever makes a file, once; that may
	// have been what failed.
	if err := SyncDir(dir); err != nil {
		return unwritten(err)
	}
	return table.CommitState(state)
}

// settleTail does it for the file that takes entries.
func settleTail(dir string, files types.VFS, state *types.PersistentState, acknowledged uint64) (err error) {
	info := &state.Segments[len(state.Segments)-1]
	file, err := files.OpenWriter(dir, segment.FileName(*info))
	if errors.Is(err, os.ErrNotExist) {
		return nil // raft-wal makes it
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	found, err := scanTail(file)
	if err != nil {
		return fmt.Errorf("read %s: %w", segment.FileName(*info), err)
	}
	end := info.BaseIndex + uint64(found.entries) - 1
	if end < acknowledged {
		return nil
	}
	if err := found.rewrite(file); err != nil {
		return unwritten(fmt.Errorf("write the end of %s once more: %w", segment.FileName(*info), err))
	}
	if found.index == 0 {
		return nil
	}
	info.SealTime, info.MaxIndex, info.IndexStart = time.Now(), end, uint64(found.index)
	state.Segments = append(state.Segments, types.SegmentInfo{
		ID:         state.NextSegmentID,
		BaseIndex:  end + 1,
		MinIndex:   end + 1,
		SizeLimit:  info.SizeLimit,
		Codec:      wal.CodecBinaryV1,
		CreateTime: time.Now(),
	})
	state.NextSegmentID++
	return nil
}

// The format of raft-wal's files: a header and frames. Each frame has a head of
// its type and the length of what follows, padded to whole heads; that of a
// commit has, in the place of the length, the CRC32C of all since the last one.
const (
	walHeader = 32
	walHead   = 8
)

func padded(length uint32) int64 { return (int64(length) + walHead - 1) / walHead * walHead }

// walTail is what a file holds that takes entries.
type walTail struct {
	entries    int   // that are whole
	start, end int64 // of the last batch that is whole
	index      int64 // where the list of entries is that closed the file, 0 when none did
}

// scanTail finds the last whole batch.
func scanTail(file io.ReaderAt) (found walTail, err error) {
	from := bufio.NewReaderSize(io.NewSectionReader(file, 0, math.MaxInt64), 64<<10)
	sum := crc32.New(castagnoli)
	at, err := io.CopyN(sum, from, walHeader)
	batch := walTail{}
	for err == nil {
		var head [walHead]byte
		if _, err = io.ReadFull(from, head[:]); err != nil {
			break
		}
		value := binary.LittleEndian.Uint32(head[4:])
		switch head[0] {
		case segment.FrameCommit:
			batch.end = at + walHead
			if sum.Sum32() == value {
				found = batch
			}
			at, batch.start, batch.index = batch.end, batch.end, 0
			sum.Reset()
		case segment.FrameEntry, segment.FrameIndex:
			if head[0] == segment.FrameEntry {
				batch.entries++
			} else {
				batch.index = at + walHead
			}
			_, _ = sum.Write(head[:])
			if _, err = io.CopyN(sum, from, padded(value)); err == nil {
				at += walHead + padded(value)
			}
		default:
			return found, nil
		}
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = nil
	}
	return found, err
}

// rewrite writes the last whole batch once more, zeros in the place of all that
// is after it, and flushes both.
func (t walTail) rewrite(file types.WritableFile) error {
	const piece = 64 << 10
	buffer, zeros := make([]byte, piece), make([]byte, piece)
	for at := t.start; ; {
		length := int64(piece)
		if at < t.end {
			length = min(length, t.end-at)
		}
		n, err := file.ReadAt(buffer[:length], at)
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		content := buffer[:n]
		if at >= t.end && !bytes.Equal(content, zeros[:n]) {
			content = zeros[:n]
		} else if at >= t.end {
			content = nil
		}
		if len(content) > 0 {
			if _, err := file.WriteAt(content, at); err != nil {
				return err
			}
		}
		if at += int64(n); n == 0 {
			return file.Sync()
		}
	}
}

// checkIndex looks whether a file that takes no more entries has the list of its
// entries where the table of files says. raft-wal does not: without one it would
// read whatever stands there.
func checkIndex(dir string, files types.VFS, info types.SegmentInfo) error {
	file, err := files.OpenReader(dir, segment.FileName(info))
	if err != nil {
		return err
	}
	_, err = sealedEnd(file, info)
	return errors.Join(err, file.Close())
}

// sealedEnd returns where a file ends that takes no more entries.
func sealedEnd(file io.ReaderAt, info types.SegmentInfo) (int64, error) {
	var head [walHead]byte
	at := int64(info.IndexStart) - walHead
	if at >= walHeader {
		if _, err := file.ReadAt(head[:], at); err != nil && !errors.Is(err, io.EOF) {
			return 0, err
		}
	}
	length := binary.LittleEndian.Uint32(head[4:])
	if head[0] != segment.FrameIndex || uint64(length)/4 < info.MaxIndex-info.BaseIndex+1 {
		return 0, fmt.Errorf("read %s: %w (it has no list of its entries)", segment.FileName(info), ErrCorrupt)
	}
	return int64(info.IndexStart) + padded(length) + walHead, nil
}
