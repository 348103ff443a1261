package storage

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
)

// The parts of a page of bbolt, in bytes. Numbers are in the byte order of the
// machine that wrote them.
const (
	pageHeader    = 16 // id 8, flags 2, count 2, overflow 4
	branchElement = 16 // position 4, size of key 4, page 8
	leafElement   = 16 // flags 4, position 4, size of key 4, size of value 4

	branchPage = 0x01
	leafPage   = 0x02
	bucketLeaf = 0x01

	bucketHeader = 16 // page 8, sequence 8

	// firstPage is the first that is no description of the file.
	firstPage = 2
)

// boltPages looks at the pages of a file of bbolt for what its own scan for free
// pages does not forgive: that runs in a goroutine of its own beside its cause, so
// that what it finds ends in a race, and a page that is nonsense in the death of the
// program.
type boltPages struct {
	file io.ReaderAt
	// size of a page; end is the number of pages in use.
	size, end uint64
	seen      map[uint64]struct{}
}

// check looks at a tree; that of the root has buckets, and no other. The keys in it
// must not be below least, and be below most, unless they are nil. It returns the last
// key, nil for none.
func (b *boltPages) check(id uint64, root bool, least, most []byte) (last []byte, err error) {
	page, err := b.read(id)
	if err != nil {
		return nil, err
	}
	return b.checkPage(page, id, root, least, most)
}

func (b *boltPages) checkPage(page []byte, id uint64, root bool, least, most []byte) (last []byte, err error) {
	flags, count := binary.NativeEndian.Uint16(page[8:]), int(binary.NativeEndian.Uint16(page[10:]))
	if flags != branchPage && flags != leafPage {
		return nil, fmt.Errorf("%w: page %d is of no kind that belongs there: %#x", ErrCorrupt, id, flags)
	}
	if pageHeader+count*leafElement > len(page) || flags == branchPage && count == 0 {
		return nil, fmt.Errorf("%w: page %d cannot have %d elements", ErrCorrupt, id, count)
	}
	keys := make([][]byte, count)
	for i := range keys {
		var value []byte
		if keys[i], value, err = b.element(page, id, flags, i, root); err != nil {
			return nil, err
		}
		if flags == leafPage && root {
			if err := b.checkBucket(value, id); err != nil {
				return nil, err
			}
		}
	}
	for i, key := range keys {
		// The first one may be that of the element which leads here.
		order := bytes.Compare(least, key)
		if least != nil && (order > 0 || order == 0 && i > 0) || most != nil && bytes.Compare(key, most) >= 0 {
			return nil, fmt.Errorf("%w: key %d of page %d is out of order", ErrCorrupt, i, id)
		}
		if least, last = key, key; flags == leafPage {
			continue
		}
		below := most
		if i+1 < count {
			below = keys[i+1]
		}
		child := binary.NativeEndian.Uint64(page[pageHeader+i*branchElement+8:])
		if last, err = b.check(child, root, key, below); err != nil {
			return nil, err
		}
		least = last
	}
	return last, nil
}

// checkBucket looks at a bucket; one that is small is a page within its element.
func (b *boltPages) checkBucket(value []byte, id uint64) error {
	if len(value) < bucketHeader {
		return fmt.Errorf("%w: a bucket in page %d is cut off", ErrCorrupt, id)
	}
	if tree := binary.NativeEndian.Uint64(value); tree != 0 {
		_, err := b.check(tree, false, nil, nil)
		return err
	}
	page := value[bucketHeader:]
	if len(page) < pageHeader || binary.NativeEndian.Uint16(page[8:]) != leafPage {
		return fmt.Errorf("%w: a bucket in page %d is no page", ErrCorrupt, id)
	}
	_, err := b.checkPage(page, id, false, nil, nil)
	return err
}

// read returns a page with what belongs to it, and sees to it that nothing belongs to
// two.
func (b *boltPages) read(id uint64) ([]byte, error) {
	if id < firstPage || id >= b.end {
		return nil, fmt.Errorf("%w: there is no page %d of %d", ErrCorrupt, id, b.end)
	}
	page := make([]byte, b.size)
	if _, err := b.file.ReadAt(page, int64(id*b.size)); err != nil {
		return nil, fmt.Errorf("%w: page %d: %w", ErrCorrupt, id, err)
	}
	more := uint64(binary.NativeEndian.Uint32(page[12:]))
	if named := binary.NativeEndian.Uint64(page); named != id || more >= b.end-id {
		return nil, fmt.Errorf("%w: page %d says that it is page %d with %d more", ErrCorrupt, id, named, more)
	}
	for one := id; one <= id+more; one++ {
		if _, twice := b.seen[one]; twice {
			return nil, fmt.Errorf("%w: page %d is used twice", ErrCorrupt, one)
		}
		b.seen[one] = struct{}{}
	}
	if more == 0 {
		return page, nil
	}
	page = make([]byte, (1+more)*b.size)
	if _, err := b.file.ReadAt(page, int64(id*b.size)); err != nil {
		return nil, fmt.Errorf("%w: page %d: %w", ErrCorrupt, id, err)
	}
	return page, nil
}

// element returns the key and the value of an element.
func (b *boltPages) element(page []byte, id uint64, flags uint16, i int, root bool) (_, _ []byte, err error) {
	element := page[pageHeader+i*leafElement:]
	var position, key, value uint64
	if flags == branchPage {
		position, key = uint64(binary.NativeEndian.Uint32(element)), uint64(binary.NativeEndian.Uint32(element[4:]))
	} else {
		position, key = uint64(binary.NativeEndian.Uint32(element[4:])), uint64(binary.NativeEndian.Uint32(element[8:]))
		value = uint64(binary.NativeEndian.Uint32(element[12:]))
		if bucket := binary.NativeEndian.Uint32(element)&bucketLeaf != 0; bucket != root {
			return nil, nil, fmt.Errorf("%w: element %d of page %d is of no kind that belongs there", ErrCorrupt, i, id)
		}
	}
	if position+key+value > uint64(len(element)) {
		return nil, nil, fmt.Errorf("%w: element %d of page %d is not within it", ErrCorrupt, i, id)
	}
	return element[position : position+key], element[position+key : position+key+value], nil
}
