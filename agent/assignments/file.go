package assignments

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"

	"google.golang.org/protobuf/proto"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// The file is one line of JSON that people can read, and the workloads as one
// Assignments message behind it, which the line counts and sums.

const fileVersion = 1

type content struct {
	clusterID, incarnation  string
	term, setTerm, revision uint64
	workloads               []*argosyv1.Workload
	started                 []string
	leaving                 []Leaving
	bootID                  string
}

type header struct {
	Version   int    `json:"version"`
	ClusterID string `json:"clusterId"`
	// Incarnation is not in files of before there were any.
	Incarnation string   `json:"incarnation,omitempty"`
	Term        uint64   `json:"term"`
	SetTerm     uint64   `json:"setTerm"`
	Revision    uint64   `json:"revision"`
	Started     []string `json:"started,omitempty"`
	Leaving     []exit   `json:"leaving,omitempty"`
	// BootID is not in files of before it mattered.
	BootID string `json:"bootId,omitempty"`
	Size   int    `json:"size"`
	CRC32C uint32 `json:"crc32c"`
}

type exit struct {
	Runtime  string `json:"runtime"`
	Instance string `json:"instance"`
	// Dependents is not in files of before there were any.
	Dependents []string `json:"dependents,omitempty"`
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// readFile returns nil when there is no file.
func readFile(path string) (*content, error) {
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read assignments: %w", err)
	}
	line, body, found := bytes.Cut(raw, []byte("\n"))
	var h header
	if err := json.Unmarshal(line, &h); err != nil || !found {
		return nil, fmt.Errorf("read assignments: the first line is damaged: %w", errors.Join(err, errDamaged))
	}
	if h.Version != fileVersion {
		return nil, fmt.Errorf("read assignments: version %d is not known to this binary, which knows %d", h.Version, fileVersion)
	}
	if len(body) != h.Size || crc32.Checksum(body, castagnoli) != h.CRC32C {
		return nil, fmt.Errorf("read assignments: %d bytes of workloads do not match their check sum: %w", len(body), errDamaged)
	}
	var message argosyv1.Assignments
	if err := proto.Unmarshal(body, &message); err != nil {
		return nil, fmt.Errorf("read assignments: %w", err)
	}
	leaving := make([]Leaving, 0, len(h.Leaving))
	for _, e := range h.Leaving {
		name, err := argosyv1.ParseInstanceName(e.Instance)
		if err != nil {
			return nil, fmt.Errorf("read assignments: %w", err)
		}
		leaving = append(leaving, Leaving{Runtime: e.Runtime, Instance: name, Dependents: e.Dependents})
	}
	return &content{
		clusterID: h.ClusterID, incarnation: h.Incarnation, term: h.Term, setTerm: h.SetTerm, revision: h.Revision,
		workloads: message.GetUpserts(), started: h.Started, leaving: leaving, bootID: h.BootID,
	}, nil
}

var errDamaged = errors.New("damaged file")

// writeFile replaces the file so that a crash leaves the old or the new one.
func writeFile(path string, c *content) error {
	body, err := proto.Marshal(&argosyv1.Assignments{Full: true, Revision: c.revision, Term: c.setTerm, Upserts: c.workloads})
	if err != nil {
		return fmt.Errorf("write assignments: %w", err)
	}
	leaving := make([]exit, 0, len(c.leaving))
	for _, l := range c.leaving {
		leaving = append(leaving, exit{Runtime: l.Runtime, Instance: l.Instance.Key(), Dependents: l.Dependents})
	}
	line, err := json.Marshal(header{
		Version: fileVersion, ClusterID: c.clusterID, Incarnation: c.incarnation, Term: c.term, SetTerm: c.setTerm, Revision: c.revision,
		Started: c.started, Leaving: leaving, BootID: c.bootID, Size: len(body), CRC32C: crc32.Checksum(body, castagnoli),
	})
	if err != nil {
		return fmt.Errorf("write assignments: %w", err)
	}
	// The directory is synced too, or the rename itself could be lost.
	return errors.Join(replace(path, line, []byte("\n"), body), syncDir(filepath.Dir(path)))
}

func replace(path string, parts ...[]byte) error {
	// Secrets may stand in runtime configurations.
	file, err := os.OpenFile(path+".new", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("write assignments: %w", err)
	}
	for _, part := range parts {
		if _, err := file.Write(part); err != nil {
			return errors.Join(fmt.Errorf("write assignments: %w", err), file.Close())
		}
	}
	if err := errors.Join(file.Sync(), file.Close()); err != nil {
		return fmt.Errorf("write assignments: %w", err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		return fmt.Errorf("write assignments: %w", err)
	}
	return nil
}

func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("sync directory: %w", err)
	}
	return errors.Join(dir.Sync(), dir.Close())
}
