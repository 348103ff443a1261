package server

import (
	"context"
	"sync"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
	"github.com/argosy-cluster/argosy/server/diskspace"
)

// openSpace makes what watches the disk of the data directory.
func (s *Server) openSpace() (err error) {
	measure := s.cfg.measureDisk
	if measure == nil {
		measure = diskspace.Of
	}
	cfg := diskspace.DefaultConfig()
	cfg.Floor = s.cfg.DiskFloor
	s.space, err = diskspace.New(diskspace.Deps{
		Measure:  func() (diskspace.Usage, error) { return measure(s.cfg.DataDir) },
		Leads:    func() bool { return s.reign.Load() != nil },
		Voters:   s.voterDisks,
		HandOver: s.handOverFrom,
		Logger:   s.log.With("part", "disk"),
	}, cfg)
	return err
}

// voterDisks asks the other voters for the usage of their disks.
func (s *Server) voterDisks(ctx context.Context) (answered []diskspace.Voter, all int) {
	ctx, cancel := context.WithTimeout(ctx, describeTimeout)
	defer cancel()
	servers, err := s.node.Configuration()
	if err != nil {
		return nil, 0
	}
	var mu sync.Mutex
	var asked sync.WaitGroup
	for _, server := range servers {
		if !server.Voter {
			continue
		}
		all++
		peer, ok := s.peers.Get(server.ID)
		if server.ID == s.node.ID() || !ok {
			continue
		}
		asked.Go(func() {
			response, err := peer.Describe(ctx, &argosyv1.DescribeRequest{Handshake: s.handshake()})
			if err != nil {
				return
			}
			status := response.GetServer()
			mu.Lock()
			defer mu.Unlock()
			answered = append(answered, diskspace.Voter{
				ID:    server.ID,
				Name:  status.GetName(),
				Usage: diskspace.Usage{Free: status.GetDiskFreeBytes(), Size: status.GetDiskSizeBytes()},
			})
		})
	}
	asked.Wait()
	return answered, all
}

// handOverFrom makes a certain server lead instead of this one.
func (s *Server) handOverFrom(ctx context.Context, id string) error {
	ctx, cancel := context.WithTimeout(ctx, stepAsideTimeout)
	defer cancel()
	return s.stepAside(ctx, id)
}
