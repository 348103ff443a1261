package membership

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

const (
	// metadataFormat is the format that this code writes, and the highest that
	// it reads. Fields that are merely new do not change it.
	metadataFormat = 1
	// metadataLimit is memberlist's; it panics beyond.
	metadataLimit = 512
	// maxClusterID is the longest cluster id. Open keeps room for it, and for
	// the highest term, so that neither can overflow the metadata later.
	maxClusterID = 64
	// maxIncarnation is the longest incarnation, which a member may learn later
	// too.
	maxIncarnation = 18
)

// metadata is what a member tells of itself beside its id, role and address,
// which are in the name and the address of its node.
type metadata struct {
	// generation tells one process from the one before it under the same id.
	generation int64
	// term is the last one it led in; leading whether it still does.
	term    uint64
	leading bool
	member  Member
}

func (m metadata) message() *argosyv1.GossipMember {
	return &argosyv1.GossipMember{
		Format:          metadataFormat,
		Generation:      m.generation,
		ClusterId:       m.member.ClusterID,
		Name:            m.member.Name,
		ApiAddress:      m.member.APIAddress,
		RaftAddress:     m.member.RaftAddress,
		Version:         m.member.Version,
		Term:            m.term,
		Leading:         m.leading,
		BootstrapExpect: uint32(m.member.BootstrapExpect),
		Protocol:        &argosyv1.VersionRange{Min: m.member.ProtocolMin, Max: m.member.ProtocolMax},
		Incarnation:     m.member.Incarnation,
		FeatureLevel:    m.member.FeatureLevel,
	}
}

// checked returns the encoded metadata, or why it could not be told.
func (m metadata) checked() ([]byte, error) {
	if err := m.checkSize(); err != nil {
		return nil, err
	}
	data, err := proto.Marshal(m.message())
	if err != nil {
		return nil, fmt.Errorf("encode metadata of this member: %w", err)
	}
	return data, nil
}

// checkSize returns an error that names the longest field when the metadata
// could not be told, now or once the cluster id and a term are known.
func (m metadata) checkSize() error {
	message := m.message()
	if len(message.ClusterId) > maxClusterID {
		return fmt.Errorf("%w: cluster id %q has %d bytes, must have at most %d",
			ErrTooLong, message.ClusterId, len(message.ClusterId), maxClusterID)
	}
	message.Term, message.Leading = math.MaxUint64, true
	message.ClusterId = strings.Repeat("x", maxClusterID)
	message.Incarnation = strings.Repeat("x", maxIncarnation)
	size := proto.Size(message)
	if size <= metadataLimit {
		return nil
	}
	longest := slices.MaxFunc([]textField{
		{"name", message.Name},
		{"API address", message.ApiAddress},
		{"Raft address", message.RaftAddress},
		{"version", message.Version},
	}, func(a, b textField) int { return cmp.Compare(len(a.text), len(b.text)) })
	return fmt.Errorf("%w: %d bytes, %d are possible: shorten its %s, which has %d: %q",
		ErrTooLong, size, metadataLimit, longest.name, len(longest.text), longest.text)
}

type textField struct{ name, text string }

func decodeMetadata(data []byte) (metadata, error) {
	var message argosyv1.GossipMember
	if err := proto.Unmarshal(data, &message); err != nil {
		return metadata{}, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	if message.Format == 0 || message.Format > metadataFormat {
		return metadata{}, fmt.Errorf("%w: it has format %d, version %q of this program wrote it; this one reads up to %d",
			ErrFormat, message.Format, message.Version, metadataFormat)
	}
	decoded := metadata{
		generation: message.Generation,
		term:       message.Term,
		leading:    message.Leading,
		member: Member{
			Name:            message.Name,
			APIAddress:      message.ApiAddress,
			RaftAddress:     message.RaftAddress,
			Version:         message.Version,
			ClusterID:       message.ClusterId,
			BootstrapExpect: int(message.BootstrapExpect),
			ProtocolMin:     message.Protocol.GetMin(),
			ProtocolMax:     message.Protocol.GetMax(),
			Incarnation:     message.Incarnation,
			FeatureLevel:    message.FeatureLevel,
		},
	}
	if decoded.leading {
		decoded.member.LeadingTerm = decoded.term
	}
	return decoded, nil
}
