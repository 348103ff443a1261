package backup_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"testing"
	"time"

	"github.com/hashicorp/raft"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"

	"github.com/argosy-cluster/argosy/fsm"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
	"github.com/argosy-cluster/argosy/server/backup"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const clusterID = "6f1c7a52-7bb1-4f5c-8f0e-0f4a3d9c2b11"

var savedAt = time.Date(2026, 11, 22, 17, 0, 0, 0, time.UTC)

func put(kind argosyv1.RowKind, key, group string, message proto.Message) *argosyv1.Mutation {
	value, err := proto.MarshalOptions{Deterministic: true}.Marshal(message)
	if err != nil {
		panic(err)
	}
	return &argosyv1.Mutation{Kind: &argosyv1.Mutation_Put{Put: &argosyv1.PutRow{Kind: kind, Key: key, Group: group, Value: value}}}
}

func putWorkload(name, text string) *argosyv1.Mutation {
	return put(argosyv1.RowKind_ROW_KIND_WORKLOAD, name, "agent-a",
		&argosyv1.Workload{Name: name, Agent: "agent-a", Runtime: "process", RuntimeConfig: text})
}

func mustMachine(t *testing.T) *fsm.Machine {
	t.Helper()
	m, err := fsm.New(fsm.DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func mustApply(t *testing.T, m *fsm.Machine, index uint64, mutations ...*argosyv1.Mutation) {
	t.Helper()
	data, err := proto.Marshal(&argosyv1.Entry{
		Mutations: mutations,
		Outcomes:  []*argosyv1.Outcome{{RequestId: fmt.Appendf(nil, "request-%08d", index), Principal: "anna", Result: []byte("r")}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err, failed := m.Apply(&raft.Log{Index: index, Term: 1, Data: data}).(error); failed {
		t.Fatal(err)
	}
}

// mustSeed makes a machine with some state.
func mustSeed(t *testing.T, workloads int) *fsm.Machine {
	t.Helper()
	m := mustMachine(t)
	mustApply(t, m, 3, put(argosyv1.RowKind_ROW_KIND_CLUSTER, fsm.ClusterKey, "",
		&argosyv1.ClusterSettings{ClusterId: clusterID, StartupManifestDone: true, FeatureLevel: 2}),
		put(argosyv1.RowKind_ROW_KIND_AGENT, "agent-a", "", &argosyv1.Agent{Name: "agent-a"}))
	for i := range workloads {
		mustApply(t, m, uint64(5+i), putWorkload(fmt.Sprintf("w%05d", i), "some text"))
	}
	return m
}

func metaOf(view *fsm.View) backup.Meta {
	return backup.Describe(view, backup.Meta{ClusterName: "fleet", SavedAt: savedAt, Version: "v1.2.3"})
}

func mustWrite(t *testing.T, view *fsm.View) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := backup.Write(t.Context(), &out, metaOf(view), view); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestBackupIsReadAsItWasWritten(t *testing.T) {
	view := mustSeed(t, 3000).View()
	file := mustWrite(t, view)
	summary, read, err := backup.Read(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	want := backup.Summary{
		Meta: backup.Meta{ClusterID: clusterID, ClusterName: "fleet", Revision: 3004, SavedAt: savedAt, Version: "v1.2.3",
			FeatureLevel: 2, ObjectsHash: backup.ObjectsHash(view)},
		Workloads: 3000, Agents: 1, StateBytes: int64(view.Bytes()), FileBytes: int64(len(file)), StateHash: view.Hash(),
	}
	if !summary.SavedAt.Equal(want.SavedAt) {
		t.Errorf("saved at %v, want %v", summary.SavedAt, want.SavedAt)
	}
	summary.SavedAt = want.SavedAt
	if summary != want {
		t.Errorf("summary is\n%+v, want\n%+v", summary, want)
	}
	if read.Hash() != view.Hash() || read.Rehash() != view.Hash() {
		t.Errorf("read %s, wrote %s", read, view)
	}
	meta, err := backup.ReadMeta(bytes.NewReader(file))
	if err != nil || meta.Revision != 3004 || meta.ClusterID != clusterID {
		t.Errorf("header says %+v: %v", meta, err)
	}
}

func TestBackupThatIsCutShortIsRefused(t *testing.T) {
	file := mustWrite(t, mustSeed(t, 3).View())
	for n := range file {
		want := backup.ErrCutShort
		if n == 0 {
			want = backup.ErrNotBackup
		}
		if _, _, err := backup.Read(bytes.NewReader(file[:n])); !errors.Is(err, want) {
			t.Fatalf("read %d of %d bytes: %v", n, len(file), err)
		}
	}
}

func TestBackupWithAFlippedBitIsRefused(t *testing.T) {
	file := mustWrite(t, mustSeed(t, 3).View())
	for at := range file {
		for bit := range 8 {
			damaged := bytes.Clone(file)
			damaged[at] ^= 1 << bit
			_, view, err := backup.Read(bytes.NewReader(damaged))
			known := false
			for _, sentinel := range []error{backup.ErrDamaged, backup.ErrCutShort, backup.ErrNotBackup, backup.ErrNewer} {
				known = known || errors.Is(err, sentinel)
			}
			if !known || view != nil {
				t.Fatalf("bit %d of byte %d: %v", bit, at, err)
			}
			if at >= 16 && !errors.Is(err, backup.ErrDamaged) && !errors.Is(err, backup.ErrCutShort) {
				t.Fatalf("bit %d of byte %d is said to be %v", bit, at, err)
			}
		}
	}
}

func TestWhatIsNoBackupIsCalledSo(t *testing.T) {
	file := mustWrite(t, mustSeed(t, 3).View())
	for name, c := range map[string]struct {
		data []byte
		want error
	}{
		"another file":            {[]byte("apiVersion: v1\nworkloads: {}\n"), backup.ErrNotBackup},
		"zeros":                   {make([]byte, 4096), backup.ErrNotBackup},
		"a newer version":         {append([]byte("argosy backup 2\n"), file[16:]...), backup.ErrNewer},
		"a much newer version":    {append([]byte("argosy backup 10\n"), file[16:]...), backup.ErrNewer},
		"something after it":      {append(bytes.Clone(file), 'x'), backup.ErrDamaged},
		"two of them":             {append(bytes.Clone(file), file...), backup.ErrDamaged},
		"a frame of 4 GiB":        {append(append([]byte(nil), file[:16]...), 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0), backup.ErrDamaged},
		"a frame that is missing": {without(t, file, 1), backup.ErrDamaged},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := backup.Inspect(bytes.NewReader(c.data)); !errors.Is(err, c.want) {
				t.Fatalf("read: %v, want %v", err, c.want)
			}
		})
	}
}

// without leaves out a frame, which no checksum of a frame can find.
func without(t *testing.T, file []byte, frame int) []byte {
	t.Helper()
	at := 16
	for range frame {
		at += 8 + int(binary.BigEndian.Uint32(file[at:]))
	}
	end := at + 8 + int(binary.BigEndian.Uint32(file[at:]))
	return append(bytes.Clone(file[:at]), file[end:]...)
}

// A state that has something of a newer version is told from a damaged one.
func TestStateOfANewerVersionIsCalledSo(t *testing.T) {
	file := mustWrite(t, mustSeed(t, 3).View())
	at := 16 + 8 + int(binary.BigEndian.Uint32(file[16:]))
	state := file[at+8:]
	// The state begins with the length of its header and the header's format.
	if state[1] != 0x08 || state[2] != 1 {
		t.Fatalf("the state begins with % x", state[:4])
	}
	state[2] = 9
	size := binary.BigEndian.Uint32(file[at:])
	sum := crc32.New(crc32.MakeTable(crc32.Castagnoli))
	_, _ = sum.Write(file[at : at+4])
	_, _ = sum.Write(state[:size])
	binary.BigEndian.PutUint32(file[at+4:], sum.Sum32())
	if _, err := backup.Inspect(bytes.NewReader(file)); !errors.Is(err, backup.ErrNewer) {
		t.Fatalf("read: %v", err)
	}
}

func TestErrorOfTheSourceIsPassedOn(t *testing.T) {
	file := mustWrite(t, mustSeed(t, 3).View())
	broken := errors.New("the disk broke")
	for _, n := range []int{0, 5, 20, len(file) - 1} {
		from := io.MultiReader(bytes.NewReader(file[:n]), readerFunc(func([]byte) (int, error) { return 0, broken }))
		if _, err := backup.Inspect(from); !errors.Is(err, broken) {
			t.Fatalf("after %d bytes: %v", n, err)
		}
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func TestWritingEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	view := mustSeed(t, 3).View()
	if err := backup.Write(ctx, io.Discard, metaOf(view), view); !errors.Is(err, context.Canceled) {
		t.Fatalf("write: %v", err)
	}
}

func TestObjectsHashIsThatOfObjectsOnly(t *testing.T) {
	m := mustSeed(t, 3)
	before := backup.ObjectsHash(m.View())
	mustApply(t, m, 50)
	m.StoreConfiguration(51, raft.Configuration{})
	if backup.ObjectsHash(m.View()) != before {
		t.Error("an entry that changed no object changed the hash")
	}
	mustApply(t, m, 52, putWorkload("w00001", "some text"))
	if backup.ObjectsHash(m.View()) == before {
		t.Error("a workload was written again and the hash is the same")
	}
}
