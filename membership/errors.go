package membership

import "errors"

var (
	// ErrClosed is returned by what is called after Close.
	ErrClosed = errors.New("membership is closed")
	// ErrTooLong is returned when what a member says of itself does not fit into
	// its metadata.
	ErrTooLong = errors.New("metadata of this member is too long")
	// ErrAnotherCluster is why a member is refused that belongs elsewhere.
	ErrAnotherCluster = errors.New("member of another cluster")
	// ErrAnotherIncarnation is why a server is refused that is of this cluster,
	// but from before or after a recovery.
	ErrAnotherIncarnation = errors.New("server of another incarnation of the cluster")
	// ErrFormat is why a member is refused whose metadata cannot be read.
	ErrFormat = errors.New("metadata cannot be read")
	// ErrKeyring is returned when the keyring file is unusable.
	ErrKeyring = errors.New("unusable keyring file")
	// ErrAddress is returned when an address cannot be used for gossip.
	ErrAddress = errors.New("unusable gossip address")
)
