package backup

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/argosy-cluster/argosy/fsm"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// Meta says what a backup is of.
type Meta struct {
	// ClusterID is that of the cluster, and ClusterName its name for people.
	ClusterID, ClusterName string
	// Incarnation is that of the cluster.
	Incarnation string
	// Revision is that of the state.
	Revision uint64
	// SavedAt is when it was saved, by the clock of the server.
	SavedAt time.Time
	// Version is that of the server's binary.
	Version string
	// FeatureLevel is that of the cluster.
	FeatureLevel uint32
	// ObjectsHash is ObjectsHash of the state.
	ObjectsHash [sha256.Size]byte
}

// Describe completes a Meta by what a state itself says.
func Describe(view *fsm.View, meta Meta) Meta {
	settings, _ := view.Cluster()
	if id := settings.GetClusterId(); id != "" {
		meta.ClusterID = id
	}
	if incarnation := settings.GetIncarnation(); incarnation != "" {
		meta.Incarnation = incarnation
	}
	meta.FeatureLevel = argosyv1.ActiveLevel(settings)
	meta.Revision = view.Revision()
	return meta
}

// Summary is what one may want to know of a backup.
type Summary struct {
	Meta
	// Workloads and Agents are how many there are.
	Workloads, Agents int
	// StateBytes is the size of the objects, and FileBytes that of the file.
	StateBytes, FileBytes int64
	// StateHash is that of the state.
	StateHash [32]byte
}

// Proto returns the summary as the API tells it.
func (s Summary) Proto() *argosyv1.SnapshotSummary {
	return &argosyv1.SnapshotSummary{
		ClusterId: s.ClusterID, Revision: s.Revision,
		Workloads: uint64(s.Workloads), Agents: uint64(s.Agents),
		SavedUnixNanos: s.SavedAt.UnixNano(),
	}
}

// ObjectsHash tells which objects a state has at which revisions. Unlike the
// state's own hash it does not change with every entry of the log: there are
// some that change nothing that a backup is for.
func ObjectsHash(view *fsm.View) [sha256.Size]byte {
	sum := sha256.New()
	var line []byte
	for row := range view.Rows() {
		line = binary.AppendUvarint(line[:0], uint64(row.Kind))
		line = binary.AppendUvarint(line, uint64(len(row.Key)))
		line = append(line, row.Key...)
		line = binary.AppendUvarint(line, row.Revision)
		sum.Write(line)
	}
	return [sha256.Size]byte(sum.Sum(nil))
}

// Write writes a backup of a state. Meta is what Describe made of it.
func Write(ctx context.Context, to io.Writer, meta Meta, view *fsm.View) error {
	hash := ObjectsHash(view)
	header, err := proto.Marshal(&argosyv1.BackupHeader{
		ClusterId:      meta.ClusterID,
		ClusterName:    meta.ClusterName,
		Incarnation:    meta.Incarnation,
		Revision:       view.Revision(),
		SavedUnixNanos: meta.SavedAt.UnixNano(),
		Version:        meta.Version,
		FeatureLevel:   meta.FeatureLevel,
		ObjectsHash:    hash[:],
	})
	if err != nil {
		return fmt.Errorf("write backup: encode header: %w", err)
	}
	out := newFrameWriter(ctx, to)
	if err := out.raw([]byte(magic)); err != nil {
		return fmt.Errorf("write backup: %w", err)
	}
	if _, err := out.Write(header); err != nil {
		return fmt.Errorf("write backup: %w", err)
	}
	if err := out.flush(); err != nil {
		return fmt.Errorf("write backup: %w", err)
	}
	if _, err := view.WriteTo(out); err != nil {
		return fmt.Errorf("write backup: %w", err)
	}
	if err := out.end(); err != nil {
		return fmt.Errorf("write backup: %w", err)
	}
	return nil
}

// Read reads a backup and checks all of it.
func Read(from io.Reader) (Summary, *fsm.View, error) {
	in, meta, err := readHeader(from)
	if err != nil {
		return Summary{}, nil, fmt.Errorf("read backup: %w", err)
	}
	view, err := fsm.ReadView(in)
	switch {
	case in.err != nil && !errors.Is(in.err, io.EOF):
		// What the state lacks follows from this.
		err = in.err
	case errors.Is(err, fsm.ErrUnknown):
		err = fmt.Errorf("%w (%w)", ErrNewer, err)
	case err != nil:
		err = fmt.Errorf("%w (%w)", ErrDamaged, err)
	case view.Revision() != meta.Revision:
		err = fmt.Errorf("it says that it is of revision %d, and is of %d: %w", meta.Revision, view.Revision(), ErrDamaged)
	}
	if err != nil {
		return Summary{}, nil, fmt.Errorf("read backup: %w", err)
	}
	return Summary{
		Meta:       meta,
		Workloads:  view.Count(argosyv1.RowKind_ROW_KIND_WORKLOAD),
		Agents:     view.Count(argosyv1.RowKind_ROW_KIND_AGENT),
		StateBytes: int64(view.Bytes()),
		FileBytes:  in.offset,
		StateHash:  view.Hash(),
	}, view, nil
}

// Inspect reads a backup, checks all of it, and tells what it is of.
func Inspect(from io.Reader) (Summary, error) {
	summary, _, err := Read(from)
	return summary, err
}

// ReadMeta reads what a backup is of and no more: that it is whole is not
// checked.
func ReadMeta(from io.Reader) (Meta, error) {
	_, meta, err := readHeader(from)
	if err != nil {
		return Meta{}, fmt.Errorf("read backup: %w", err)
	}
	return meta, nil
}

func readHeader(from io.Reader) (*frameReader, Meta, error) {
	in := newFrameReader(from)
	if err := in.begin(); err != nil {
		return nil, Meta{}, err
	}
	data, err := in.frame()
	if err != nil {
		return nil, Meta{}, err
	}
	header := &argosyv1.BackupHeader{}
	if err := proto.Unmarshal(data, header); err != nil {
		return nil, Meta{}, fmt.Errorf("its header: %w: %w", err, ErrDamaged)
	}
	meta := Meta{
		ClusterID:    header.GetClusterId(),
		ClusterName:  header.GetClusterName(),
		Incarnation:  header.GetIncarnation(),
		Revision:     header.GetRevision(),
		SavedAt:      time.Unix(0, header.GetSavedUnixNanos()),
		Version:      header.GetVersion(),
		FeatureLevel: argosyv1.KnownLevel(header.GetFeatureLevel()),
	}
	copy(meta.ObjectsHash[:], header.GetObjectsHash())
	return in, meta, nil
}
