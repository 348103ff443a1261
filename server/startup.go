package server

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/argosy-cluster/argosy/fsm"
	"github.com/argosy-cluster/argosy/manifest"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
	"github.com/argosy-cluster/argosy/server/writer"
	"github.com/argosy-cluster/argosy/server/writer/graph"
)

// loadStartupManifest reads the manifest, so that what is wrong with it is said
// at the start. A server that has state does not need it, whatever it says.
func (s *Server) loadStartupManifest() error {
	if s.cfg.StartupManifest == "" {
		return nil
	}
	loaded, err := s.readManifest(s.cfg.StartupManifest)
	if err != nil {
		if s.node.Initialized() {
			s.log.Warn("startup manifest was not read; it is not needed, since there is state", "file", s.cfg.StartupManifest, "err", err)
			return nil
		}
		return err
	}
	for _, warning := range loaded.Warnings {
		s.log.Warn("startup manifest", "file", s.cfg.StartupManifest, "warning", warning)
	}
	s.startup = loaded
	return nil
}

func (s *Server) readManifest(path string) (*manifest.Manifest, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read startup manifest: %w", err)
	}
	loaded, err := manifest.Parse(text, manifest.Options{})
	if err == nil {
		err = checkAlone(loaded, s.cfg.Writer)
	}
	if err != nil {
		return nil, fmt.Errorf("read startup manifest %s: %w", path, err)
	}
	return loaded, nil
}

// checkAlone says what a leader would refuse of a manifest that is all there is.
func checkAlone(m *manifest.Manifest, limits writer.Config) error {
	configs := make(map[string]*argosyv1.ConfigItem, len(m.Configs))
	for _, c := range m.Configs {
		configs[c.GetKey()] = c.GetValue()
	}
	lookup := func(key string) (*argosyv1.ConfigItem, bool) {
		item, ok := configs[key]
		return item, ok
	}
	size := proto.Size(&argosyv1.ApplyRequest{Configs: m.Configs})
	var needs []graph.Change
	for _, w := range m.Workloads {
		rendered, err := manifest.Render(w, lookup)
		if err != nil {
			return err
		}
		size += proto.Size(w) + proto.Size(rendered)
		needs = append(needs, graph.Change{Name: w.GetName(), Needs: slices.Collect(maps.Keys(w.GetDependencies()))})
	}
	if objects := len(m.Workloads) + len(m.Configs); objects > limits.MaxWorkloads || size > limits.MaxApplyBytes {
		return fmt.Errorf("it has %d workloads and configs of %d bytes, at most %d of %d bytes are taken at once; apply the rest when the cluster is there",
			objects, size, limits.MaxWorkloads, limits.MaxApplyBytes)
	}
	_, err := graph.New().Replace(needs)
	return err
}

// startupInterval is how often it is looked whether all servers know by now what
// the startup manifest needs.
const startupInterval = 200 * time.Millisecond

// firstWrites writes what a cluster begins with: its settings and the startup
// manifest, in one entry, unless the manifest has to wait until all servers are
// known to know what it needs. The settings tell for ever that it was done.
func (s *Server) firstWrites(ctx context.Context, r *reign) error {
	look := time.NewTicker(startupInterval)
	defer look.Stop()
	for {
		settings, begun := s.machine.View().Cluster()
		if begun && settings.GetStartupManifestDone() {
			s.ignoreStartupManifest()
			return nil
		}
		if w, ok := r.writes(); ok && (!begun || argosyv1.ActiveLevel(settings) >= s.startupNeeds()) {
			if err := s.writeStartup(ctx, w); err != nil {
				return err
			}
		}
		if settings, _ := s.machine.View().Cluster(); settings.GetStartupManifestDone() {
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-look.C:
		}
	}
}

// startupNeeds is the feature level that the startup manifest needs.
func (s *Server) startupNeeds() uint32 {
	if s.startup == nil {
		return argosyv1.FeatureBase
	}
	return s.startupRequest(nil).NeedsLevel()
}

// startupRequest applies what is in the startup manifest and not in the state.
func (s *Server) startupRequest(c *writer.Working) *argosyv1.ApplyRequest {
	there := func(kind argosyv1.RowKind, key string) bool { return c != nil && c.Row(kind, key).Exists }
	request := &argosyv1.ApplyRequest{}
	for _, config := range s.startup.Configs {
		if !there(argosyv1.RowKind_ROW_KIND_CONFIG, config.GetKey()) {
			request.Configs = append(request.Configs, config)
		}
	}
	for _, workload := range s.startup.Workloads {
		if !there(argosyv1.RowKind_ROW_KIND_WORKLOAD, workload.GetName()) {
			request.Workloads = append(request.Workloads, workload)
		}
	}
	return request
}

func (s *Server) writeStartup(ctx context.Context, w *writer.Writer) error {
	change, tell := s.firstChange()
	err := w.Mutate(ctx, change)
	tell(err)
	if err == nil || ctx.Err() != nil || errors.Is(err, writer.ErrNotDone) || errors.Is(err, writer.ErrFateUnknown) {
		return nil // The next leader does it if it was not done.
	}
	return fmt.Errorf("write the first state: %w", err)
}

// firstChange returns what makes the settings, and the startup manifest once it may
// be, part of an entry, and what tells of that when it is known how the entry
// ended.
func (s *Server) firstChange() (change func(*writer.Working) error, tell func(error)) {
	var written *argosyv1.ApplyRequest
	var refused error
	change = func(c *writer.Working) (err error) {
		written, refused, err = s.writeFirst(c)
		return err
	}
	tell = func(err error) {
		switch {
		case err != nil || written == nil:
		case refused != nil:
			s.log.Error("startup manifest was refused; apply it by hand when that is mended", "file", s.cfg.StartupManifest, "err", refused)
		default:
			s.log.Info("startup manifest was applied", "file", s.cfg.StartupManifest, "workloads", len(written.GetWorkloads()), "configs", len(written.GetConfigs()))
		}
	}
	return change, tell
}

// writeFirst returns what it wrote of the startup manifest. What that is refused
// for is no error: it would be refused for ever.
func (s *Server) writeFirst(c *writer.Working) (written *argosyv1.ApplyRequest, refused, err error) {
	settings := &argosyv1.ClusterSettings{ClusterId: s.node.ClusterID(), FeatureLevel: commonLevel(s.knownLevels())}
	if row := c.Row(argosyv1.RowKind_ROW_KIND_CLUSTER, fsm.ClusterKey); row.Exists {
		settings.Reset()
		if err := proto.Unmarshal(row.Value, settings); err != nil || settings.GetStartupManifestDone() {
			return nil, nil, err
		}
	}
	settings.StartupManifestDone = argosyv1.ActiveLevel(settings) >= s.startupNeeds()
	if err := c.PutMessage(argosyv1.RowKind_ROW_KIND_CLUSTER, fsm.ClusterKey, "", settings); err != nil {
		return nil, nil, err
	}
	if !settings.GetStartupManifestDone() || s.startup == nil {
		return nil, nil, nil
	}
	request := s.startupRequest(c)
	if len(request.GetWorkloads())+len(request.GetConfigs()) == 0 {
		return nil, nil, nil
	}
	return request, c.Apply(request), nil
}

func (s *Server) ignoreStartupManifest() {
	if s.startup != nil {
		s.log.Info("startup manifest was ignored: the cluster has state already", "file", s.cfg.StartupManifest)
	}
}
