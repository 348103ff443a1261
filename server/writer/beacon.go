package writer

import (
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
	"google.golang.org/protobuf/encoding/protowire"
)

// Beacon puts into the entry which hash the state had when everything that is
// committed was in it. It reports false, and does nothing, in a cluster with
// servers that would stop at a beacon.
func (c *Working) Beacon() bool {
	settings, _ := c.view.Cluster()
	if argosyv1.ActiveLevel(settings) < argosyv1.FeatureBeacons {
		return false
	}
	hash := c.view.Hash()
	c.current.append(encodeBeacon(c.view.Revision(), hash[:]))
	return true
}

func encodeBeacon(revision uint64, hash []byte) []byte {
	beacon := sizeVarintField(fieldBeaconRevision, revision) + sizeBytesField(fieldBeaconHash, len(hash))
	mutation := sizeBytesField(fieldMutationBeacon, beacon)
	b := make([]byte, 0, sizeBytesField(fieldEntryMutations, mutation))
	b = protowire.AppendTag(b, fieldEntryMutations, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(mutation))
	b = protowire.AppendTag(b, fieldMutationBeacon, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(beacon))
	b = protowire.AppendTag(b, fieldBeaconRevision, protowire.VarintType)
	b = protowire.AppendVarint(b, revision)
	b = protowire.AppendTag(b, fieldBeaconHash, protowire.BytesType)
	return protowire.AppendBytes(b, hash)
}
