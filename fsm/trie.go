package fsm

import (
	"hash/maphash"
	"math/bits"
)

// trie holds rows by the hash of their id: a tree of 32 ways by five bits of the
// hash at a time. It is persistent: a change makes new nodes from the changed
// one up to the root, so that whoever holds an older root has the older rows.
// The nodes that one transaction has made it changes in place.
//
// The order of the keys is not in it. To find a row by its hash takes a third of
// the time of finding it in a tree by comparing keys, and every write does that
// on every replica; the order is asked for by whoever reads everything, and is
// made for him.
type trie struct {
	root *node
	rows int
}

// Every level of a trie takes this many bits of the hash.
const trieBits = 5

// trieSeed need not be the same elsewhere: the shape of a trie is of no
// consequence. One that nobody can foresee keeps chosen keys from colliding.
var trieSeed = maphash.MakeSeed()

func hashID(id []byte) uint64 { return maphash.Bytes(trieSeed, id) }

// node is an inner node. Beyond the last level, where hashes are equal, its
// slots are in no order and all are rows.
type node struct {
	// owner is the transaction that may change it in place.
	owner uint64
	// used says which of the 32 ways have a slot.
	used  uint32
	slots []slot
}

// slot is a row, or a node of those whose hashes agree up to here.
type slot struct {
	row  *Row
	down *node
}

func (n *node) place(way uint32) int { return bits.OnesCount32(n.used & (1<<way - 1)) }

func wayOf(hash uint64, shift uint) uint32 { return uint32(hash>>shift) & 31 }

func (t trie) get(id []byte) *Row { return t.find(id, hashID(id)) }

func (t trie) find(id []byte, hash uint64) *Row {
	n := t.root
	for shift := uint(0); n != nil; shift += trieBits {
		if shift >= 64 {
			_, row := n.among(id)
			return row
		}
		way := wayOf(hash, shift)
		if n.used&(1<<way) == 0 {
			return nil
		}
		s := &n.slots[n.place(way)]
		if s.row != nil {
			if s.row.hash == hash && string(s.row.id) == string(id) {
				return s.row
			}
			return nil
		}
		n = s.down
	}
	return nil
}

// among finds a row beyond the last level.
func (n *node) among(id []byte) (int, *Row) {
	for i, s := range n.slots {
		if string(s.row.id) == string(id) {
			return i, s.row
		}
	}
	return -1, nil
}

// all calls yield for every row, until it returns false.
func (n *node) all(yield func(*Row) bool) bool {
	if n == nil {
		return true
	}
	for _, s := range n.slots {
		if s.row != nil {
			if !yield(s.row) {
				return false
			}
		} else if !s.down.all(yield) {
			return false
		}
	}
	return true
}

// mine returns the node as one that the transaction may change, with room for
// so many more slots.
func (n *node) mine(owner uint64, more int) *node {
	if n.owner == owner {
		return n
	}
	slots := make([]slot, len(n.slots), len(n.slots)+more)
	copy(slots, n.slots)
	return &node{owner: owner, used: n.used, slots: slots}
}

// put writes a row.
func (t *trie) put(owner uint64, row *Row) {
	if hash := hashID(row.id); row.hash != hash {
		// Only for a row that is in no state yet: others may be read.
		row.hash = hash
	}
	t.insert(owner, row)
}

func (t *trie) insert(owner uint64, row *Row) {
	if t.root == nil {
		t.root = &node{owner: owner}
	}
	root, added := t.root.put(owner, row, 0)
	t.root = root
	if added {
		t.rows++
	}
}

func (n *node) put(owner uint64, row *Row, shift uint) (_ *node, added bool) {
	if shift >= 64 {
		return n.putAmong(owner, row)
	}
	way := wayOf(row.hash, shift)
	at := n.place(way)
	if n.used&(1<<way) == 0 {
		n = n.mine(owner, 1)
		n.used |= 1 << way
		n.slots = append(n.slots, slot{})
		copy(n.slots[at+1:], n.slots[at:])
		n.slots[at] = slot{row: row}
		return n, true
	}
	s := n.slots[at]
	switch {
	case s.row == nil:
		s.down, added = s.down.put(owner, row, shift+trieBits)
	case s.row.hash == row.hash && string(s.row.id) == string(row.id):
		s.row = row
	default:
		// Two rows want one slot: they go down until they part.
		down := &node{owner: owner}
		down, _ = down.put(owner, s.row, shift+trieBits)
		down, _ = down.put(owner, row, shift+trieBits)
		s, added = slot{down: down}, true
	}
	n = n.mine(owner, 0)
	n.slots[at] = s
	return n, added
}

func (n *node) putAmong(owner uint64, row *Row) (_ *node, added bool) {
	at, there := n.among(row.id)
	n = n.mine(owner, 1)
	if there != nil {
		n.slots[at].row = row
		return n, false
	}
	n.slots = append(n.slots, slot{row: row})
	return n, true
}

// delete takes a row out.
func (t *trie) delete(owner uint64, id []byte) { t.remove(owner, id, hashID(id)) }

func (t *trie) remove(owner uint64, id []byte, hash uint64) {
	if t.root == nil {
		return
	}
	root, deleted := t.root.delete(owner, id, hash, 0)
	if deleted {
		t.root = root
		t.rows--
	}
}

// delete returns nil for a node that is empty then.
func (n *node) delete(owner uint64, id []byte, hash uint64, shift uint) (_ *node, deleted bool) {
	at, way := 0, uint32(0)
	if shift >= 64 {
		var there *Row
		if at, there = n.among(id); there == nil {
			return n, false
		}
	} else {
		if way = wayOf(hash, shift); n.used&(1<<way) == 0 {
			return n, false
		}
		at = n.place(way)
		s := n.slots[at]
		if s.row != nil && string(s.row.id) != string(id) {
			return n, false
		}
		if s.down != nil {
			if s.down, deleted = s.down.delete(owner, id, hash, shift+trieBits); !deleted {
				return n, false
			}
			if s.down != nil {
				if len(s.down.slots) == 1 && s.down.slots[0].row != nil {
					s = s.down.slots[0]
				}
				n = n.mine(owner, 0)
				n.slots[at] = s
				return n, true
			}
		}
	}
	if len(n.slots) == 1 {
		return nil, true
	}
	n = n.mine(owner, 0)
	copy(n.slots[at:], n.slots[at+1:])
	n.slots[len(n.slots)-1] = slot{}
	n.slots = n.slots[:len(n.slots)-1]
	if shift < 64 {
		n.used &^= 1 << way
	}
	return n, true
}
