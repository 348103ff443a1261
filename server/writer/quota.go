package writer

import (
	"google.golang.org/protobuf/proto"

	"github.com/argosy-cluster/argosy/fsm"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// settings returns the settings of the cluster. Those that cannot be read set
// nothing.
func (c *Working) settings() *argosyv1.ClusterSettings {
	row := c.Row(argosyv1.RowKind_ROW_KIND_CLUSTER, fsm.ClusterKey)
	settings := &argosyv1.ClusterSettings{}
	if row.Exists {
		_ = proto.Unmarshal(row.Value, settings)
	}
	return settings
}

// quotaOf returns how large the state may become, in bytes.
func quotaOf(settings *argosyv1.ClusterSettings) int {
	return int(min(argosyv1.StateQuota(settings), 1<<62))
}

// exceeds refuses an Apply that would make the state larger than its quota. One
// that makes it smaller passes, however large it is: that is the way back.
func (d *draft) exceeds() refuse {
	size, quota, grows := d.view.Bytes()+d.grown, d.quota, d.grows
	if grows <= 0 || size+grows <= quota {
		return nil
	}
	return func() error {
		return argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_NO_SPACE,
			"apply workloads: the state has %d bytes and would grow by %d, beyond its quota of %d bytes; delete workloads, or raise the quota (argosy operator settings)",
			size, grows, quota)
	}
}
