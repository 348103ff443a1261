package consensus

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/hashicorp/raft"

	"github.com/argosy-cluster/argosy/server/consensus/storage"
)

// The roster is the configuration of the cluster as this server last knew it,
// in a file beside Raft's data: when that is damaged, it tells whether there is
// anybody to get it back from, and that this server was more than an empty one.

const rosterFile = "servers"

// rosterEntry is one server in the file.
type rosterEntry struct {
	ID          string `json:"id"`
	RaftAddress string `json:"raft_address"`
	Voter       bool   `json:"voter"`
}

// readRoster returns the servers that the file names; none when there is no
// file, which directories of before there was one do not have.
func (d *dataDir) readRoster() ([]Server, error) {
	text, err := os.ReadFile(d.file(rosterFile))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read servers of the cluster: %w", err)
	}
	var entries []rosterEntry
	if err := json.Unmarshal(text, &entries); err != nil {
		return nil, fmt.Errorf("read servers of the cluster from %s: %w: %w", d.file(rosterFile), ErrDataDir, err)
	}
	servers := make([]Server, 0, len(entries))
	for _, e := range entries {
		servers = append(servers, Server(e))
	}
	return servers, nil
}

func (d *dataDir) writeRoster(servers []Server) error {
	entries := make([]rosterEntry, 0, len(servers))
	for _, s := range servers {
		entries = append(entries, rosterEntry(s))
	}
	text, err := json.MarshalIndent(entries, "", "  ")
	if err != nil {
		return fmt.Errorf("encode servers of the cluster: %w", err)
	}
	if err := storage.WriteFile(d.file(rosterFile), append(text, '\n'), 0o600); err != nil {
		return fmt.Errorf("write servers of the cluster: %w", err)
	}
	return nil
}

// keepRoster writes the roster whenever the configuration is another one, until
// the node stops.
func (n *Node) keepRoster() {
	known, err := n.dir.readRoster()
	if err != nil {
		n.log.Warn("servers of the cluster are written anew", "error", err)
	}
	for {
		if servers := serversOf(n.configuration()); len(servers) > 0 {
			if !slices.Equal(servers, known) {
				if err := n.dir.writeRoster(servers); err != nil {
					n.log.Warn("failed to remember the servers of the cluster", "error", err)
				} else {
					known = servers
				}
			}
			n.settleReplacement(servers)
		}
		select {
		case <-n.applier.reconfigured:
		case <-n.ctx.Done():
			return
		}
	}
}

func serversOf(configuration raft.Configuration) []Server {
	var servers []Server
	for _, s := range configuration.Servers {
		servers = append(servers, Server{ID: string(s.ID), RaftAddress: string(s.Address), Voter: s.Suffrage == raft.Voter})
	}
	return servers
}
