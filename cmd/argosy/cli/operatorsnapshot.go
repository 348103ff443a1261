package cli

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/argosy-cluster/argosy/client"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
	"github.com/argosy-cluster/argosy/server/backup"
	"github.com/argosy-cluster/argosy/server/consensus/storage"
)

func (a *app) operatorSnapshotCommand() *cobra.Command {
	return group("snapshot", "Save and restore the whole desired state",
		`A snapshot is a backup: one file with everything that shall be (workloads,
registered agents, settings). What is at the moment, agents report by themselves.`,
		a.snapshotSaveCommand(), a.snapshotInspectCommand(), a.snapshotRestoreCommand())
}

func (a *app) snapshotSaveCommand() *cobra.Command {
	var stale, force bool
	cmd := &cobra.Command{
		Use:   "save FILE",
		Short: "Save the state to a file",
		Long: `Save writes the whole desired state to a file, from any server, while the cluster
works. The file is there when it is complete and was checked, or not at all.`,
		Example: "  argosy operator snapshot save today.argosy\n  argosy operator snapshot save --stale last-resort.argosy   # when there is no leader",
		Args:    usageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withClient(func(c *client.Client) error {
				return a.saveSnapshot(cmd.Context(), c, args[0], stale, force)
			})
		},
	}
	cmd.Flags().BoolVar(&stale, "stale", false, "save what the server has, which may not be the newest: needs no leader")
	cmd.Flags().BoolVar(&force, "force", false, "replace the file when there is one")
	return cmd
}

func (a *app) saveSnapshot(ctx context.Context, c *client.Client, path string, stale, force bool) (err error) {
	switch info, err := os.Stat(path); {
	case err == nil && info.IsDir():
		return usagef("save snapshot to %s: it is a directory: name a file", path)
	case err == nil && !force:
		return usagef("save snapshot to %s: the file exists: name another one, or replace it with --force", path)
	case err != nil && !errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("save snapshot: %w", err)
	}
	file, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return fmt.Errorf("save snapshot: %w", err)
	}
	defer func() {
		_ = file.Close()
		if err != nil {
			_ = os.Remove(file.Name())
		}
	}()
	req := &argosyv1.SaveSnapshotRequest{}
	if stale {
		req.Consistency = argosyv1.Consistency_CONSISTENCY_STALE
	}
	var header *argosyv1.ResponseHeader
	progress := newProgress(a.err, "saved")
	defer progress.end()
	err = c.SaveSnapshot(ctx, req, func(h *argosyv1.ResponseHeader) (io.Writer, error) {
		header = h
		if err := file.Truncate(0); err != nil {
			return nil, err
		}
		_, err := file.Seek(0, io.SeekStart)
		progress.done = 0
		return io.MultiWriter(file, progress), err
	})
	progress.end()
	if err != nil {
		return err
	}
	// What is on the disk is what counts, not what came.
	if err := file.Sync(); err != nil {
		return fmt.Errorf("save snapshot: %w", err)
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("save snapshot: %w", err)
	}
	summary, err := backup.Inspect(file)
	if err != nil {
		return fmt.Errorf("check what was saved: %w", err)
	}
	if err := file.Close(); err != nil {
		return fmt.Errorf("save snapshot: %w", err)
	}
	if err := os.Rename(file.Name(), path); err != nil {
		return fmt.Errorf("save snapshot: %w", err)
	}
	if err := storage.SyncDir(filepath.Dir(path)); err != nil {
		return fmt.Errorf("save snapshot: %w", err)
	}
	a.tellStaleness(header)
	fmt.Fprintf(a.out, "saved revision %d of cluster %s to %s: %s, %s, %s\n", summary.Revision, summary.ClusterID, path,
		plural(summary.Workloads, "workload"), plural(summary.Agents, "agent"), sizeText(summary.FileBytes))
	return nil
}

// snapshotInfo is a backup as users see it.
type snapshotInfo struct {
	File        string `json:"file" yaml:"file"`
	Cluster     string `json:"cluster" yaml:"cluster"`
	ClusterID   string `json:"clusterId" yaml:"clusterId"`
	Incarnation string `json:"incarnation,omitempty" yaml:"incarnation,omitempty"`
	Revision    uint64 `json:"revision" yaml:"revision"`
	Saved       string `json:"saved" yaml:"saved"`
	Version     string `json:"version" yaml:"version"`
	Level       uint32 `json:"featureLevel" yaml:"featureLevel"`
	Workloads   int    `json:"workloads" yaml:"workloads"`
	Agents      int    `json:"agents" yaml:"agents"`
	StateBytes  int64  `json:"stateBytes" yaml:"stateBytes"`
	FileBytes   int64  `json:"fileBytes" yaml:"fileBytes"`
	StateHash   string `json:"stateHash" yaml:"stateHash"`
}

func (a *app) snapshotInspectCommand() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "inspect FILE",
		Short: "Check a file and tell what is in it",
		Long:  "Inspect reads a saved snapshot, checks every byte of it, and tells what it is of. It needs no server.",
		Args:  usageArgs(cobra.ExactArgs(1)),
		RunE: func(_ *cobra.Command, args []string) error {
			if output != "text" && output != "json" && output != "yaml" {
				return usagef("-o %q is not known: use text, json or yaml", output)
			}
			summary, err := inspectFile(args[0])
			if err != nil {
				return err
			}
			info := snapshotInfo{
				File: args[0], Cluster: summary.ClusterName, ClusterID: summary.ClusterID, Incarnation: summary.Incarnation,
				Revision: summary.Revision, Saved: summary.SavedAt.UTC().Format(time.RFC3339), Version: summary.Version,
				Level: summary.FeatureLevel, Workloads: summary.Workloads, Agents: summary.Agents,
				StateBytes: summary.StateBytes, FileBytes: summary.FileBytes, StateHash: hex.EncodeToString(summary.StateHash[:]),
			}
			if output != "text" {
				return a.encode(output, info)
			}
			fmt.Fprintf(a.out, `%s is whole.
cluster:        %s (%s)
incarnation:    %s
revision:       %d
saved:          %s by version %s
feature level:  %d
workloads:      %d
agents:         %d
size:           %s, %s of them objects
state hash:     %s
`, info.File, info.Cluster, info.ClusterID, argosyv1.DescribeIncarnation(info.Incarnation), info.Revision, info.Saved, info.Version,
				info.Level, info.Workloads, info.Agents, sizeText(info.FileBytes), sizeText(info.StateBytes), info.StateHash)
			return nil
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "text", "text, json or yaml")
	return cmd
}

func inspectFile(path string) (backup.Summary, error) {
	file, err := os.Open(path)
	if err != nil {
		return backup.Summary{}, fmt.Errorf("read backup: %w", err)
	}
	defer func() { _ = file.Close() }()
	summary, err := backup.Inspect(file)
	if err != nil {
		return summary, fmt.Errorf("%s: %w", path, err)
	}
	return summary, nil
}

func (a *app) snapshotRestoreCommand() *cobra.Command {
	options := &argosyv1.RestoreOptions{}
	var yes bool
	cmd := &cobra.Command{
		Use:   "restore FILE",
		Short: "Put the state of a file in the place of the present one",
		Long: `Restore replaces the whole desired state of the cluster by that of a saved
snapshot: workloads that are not in it are removed from their agents. What
was written after the snapshot was saved is lost, unless it is saved before.
Servers and agents keep running; the servers of the cluster stay what they are.`,
		Example: "  argosy operator snapshot restore --dry-run today.argosy\n  argosy operator snapshot restore today.argosy",
		Args:    usageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.restoreSnapshot(cmd.Context(), args[0], options, yes)
		},
	}
	cmd.Flags().BoolVar(&options.DryRun, "dry-run", false, "check everything, say what would happen, and change nothing")
	cmd.Flags().BoolVar(&options.OtherCluster, "other-cluster", false, "accept the snapshot of another cluster")
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return cmd
}

func (a *app) restoreSnapshot(ctx context.Context, path string, options *argosyv1.RestoreOptions, yes bool) error {
	if !options.DryRun && !yes && !isTerminal(a.in) {
		return usagef("restore snapshot: nobody can be asked whether the state shall be replaced: say --yes, or look first with --dry-run")
	}
	// What is wrong with the file is said before a server is troubled with it.
	if _, err := inspectFile(path); err != nil {
		return err
	}
	return a.withClient(func(c *client.Client) error {
		file, err := os.Open(path)
		if err != nil {
			return fmt.Errorf("read backup: %w", err)
		}
		defer func() { _ = file.Close() }()
		send := func(options *argosyv1.RestoreOptions) (*argosyv1.RestoreSnapshotResponse, error) {
			progress := newProgress(a.err, "sent")
			defer progress.end()
			return c.RestoreSnapshot(ctx, options, func() (io.Reader, error) {
				progress.done = 0
				_, err := file.Seek(0, io.SeekStart)
				return io.TeeReader(file, progress), err
			})
		}
		if !options.DryRun && !yes {
			rehearsal, err := send(&argosyv1.RestoreOptions{OtherCluster: options.OtherCluster, DryRun: true})
			if err != nil {
				return err
			}
			fmt.Fprintf(a.err, "restore would replace %s\n           by that of %s\n", summaryText(rehearsal.GetReplaced()), summaryText(rehearsal.GetRestored()))
			answer, err := a.ask(ctx, "Replace the state of the cluster? What is not in the snapshot is removed. [yes/no] ")
			if err != nil {
				return fmt.Errorf("restore snapshot: %w", err)
			}
			if answer != "yes" {
				return errors.New("restore snapshot: not confirmed; nothing was changed")
			}
		}
		response, err := send(options)
		if err != nil {
			return err
		}
		if options.DryRun {
			fmt.Fprintf(a.out, "would replace %s\n     by that of %s\nnothing was changed\n", summaryText(response.GetReplaced()), summaryText(response.GetRestored()))
			return nil
		}
		fmt.Fprintf(a.out, "restored at revision %d: replaced %s\n     by that of %s\n", response.GetHeader().GetRevision(),
			summaryText(response.GetReplaced()), summaryText(response.GetRestored()))
		return nil
	})
}

func summaryText(s *argosyv1.SnapshotSummary) string {
	text := fmt.Sprintf("revision %d of cluster %s (%s, %s", s.GetRevision(), s.GetClusterId(), plural(int(s.GetWorkloads()), "workload"), plural(int(s.GetAgents()), "agent"))
	if saved := s.GetSavedUnixNanos(); saved != 0 {
		text += ", saved " + time.Unix(0, saved).UTC().Format(time.RFC3339)
	}
	return text + ")"
}

// sizeText writes a number of bytes for people.
func sizeText(n int64) string {
	size, unit := float64(n), "B"
	for _, next := range []string{"KiB", "MiB", "GiB"} {
		if size < 1024 {
			break
		}
		size, unit = size/1024, next
	}
	if unit == "B" {
		return plural(int(n), "byte")
	}
	return fmt.Sprintf("%.1f %s", size, unit)
}

// progress tells on a terminal how much is done, and says nothing elsewhere.
type progress struct {
	to    io.Writer
	what  string
	done  int64
	shown time.Time
}

func newProgress(to io.Writer, what string) *progress {
	p := &progress{to: to, what: what, shown: time.Now()}
	if !isTerminal(to) {
		p.to = nil
	}
	return p
}

// Write counts.
func (p *progress) Write(b []byte) (int, error) {
	p.done += int64(len(b))
	if now := time.Now(); p.to != nil && now.Sub(p.shown) > 100*time.Millisecond {
		p.shown = now
		fmt.Fprintf(p.to, "\r%s %s\033[K", p.what, sizeText(p.done))
	}
	return len(b), nil
}

func (p *progress) end() {
	if p.to != nil {
		fmt.Fprint(p.to, "\r\033[K")
	}
}
