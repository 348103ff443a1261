package keeper

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"sync"
	"time"

	"github.com/argosy-cluster/argosy/agent/runtime/process/wire"
)

const (
	// requestTimeout is how long a client may take to say what it wants.
	requestTimeout = 10 * time.Second
	// responseTimeout is how long it may take to read a response, before it is
	// given up: it is stopped or hangs.
	responseTimeout = 30 * time.Second
)

// acceptPause is how long a keeper waits that is out of file descriptors.
const acceptPause = 100 * time.Millisecond

var errClientLeft = errors.New("client closed the connection")

// service answers clients.
type service struct {
	table  *table
	idle   *idle
	logger *slog.Logger

	mu          sync.Mutex
	connections map[net.Conn]struct{}
	closed      bool
	running     sync.WaitGroup
}

// serve answers every connection until the listener is closed, then ends those
// that are left.
func (s *service) serve(ctx context.Context, listener net.Listener) {
	defer s.running.Wait()
	defer s.closeAll()
	for {
		connection, err := listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			s.logger.Error("client not accepted", "error", err)
			select {
			case <-ctx.Done():
			case <-time.After(acceptPause):
			}
			continue
		}
		if !s.add(connection) {
			continue
		}
		s.running.Go(func() {
			defer s.remove(connection)
			s.answer(connection)
		})
	}
}

func (s *service) add(connection net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || !s.idle.addClient() {
		_ = connection.Close()
		return false
	}
	s.connections[connection] = struct{}{}
	return true
}

func (s *service) remove(connection net.Conn) {
	_ = connection.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.connections, connection)
	s.idle.dropClient()
}

func (s *service) closeAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for connection := range s.connections {
		_ = connection.Close()
	}
}

// answer carries out the one request of a connection.
func (s *service) answer(connection net.Conn) {
	var request wire.Request
	_ = connection.SetReadDeadline(time.Now().Add(requestTimeout))
	if err := wire.Read(connection, &request); err != nil {
		return
	}
	_ = connection.SetReadDeadline(time.Time{})
	if err := check(&request); err != nil {
		_ = s.send(connection, wire.Response{Error: err})
		return
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	// A client says nothing more; what can be read is that it went away.
	s.running.Go(func() {
		_, _ = io.Copy(io.Discard, connection)
		cancel(errClientLeft)
	})
	s.carryOut(ctx, connection, &request)
	// Ends the reader.
	_ = connection.Close()
}

func check(request *wire.Request) *wire.Error {
	if request.Version != wire.Version {
		return &wire.Error{Kind: wire.KindVersion, Text: fmt.Sprintf(
			"keeper speaks protocol %d, the agent %d: run the version of argosy that started the keeper, or stop its workloads and the keeper first",
			wire.Version, request.Version)}
	}
	if request.Op == wire.OpList || request.Op == wire.OpWatch {
		return nil
	}
	if err := request.Name.Validate(); err != nil {
		return &wire.Error{Kind: wire.KindInvalid, Text: err.Error()}
	}
	if request.Op == wire.OpStart && (request.Start == nil || len(request.Start.Args) == 0) {
		return &wire.Error{Kind: wire.KindInvalid, Text: "start request without a command"}
	}
	return nil
}

func (s *service) carryOut(ctx context.Context, connection net.Conn, request *wire.Request) {
	switch request.Op {
	case wire.OpList:
		_ = s.send(connection, wire.Response{Instances: s.table.list()})
	case wire.OpStart:
		instance, err := s.table.start(ctx, request.Name, request.Start)
		_ = s.send(connection, wire.Response{Instance: &instance, Error: failed(err)})
	case wire.OpRemove:
		_ = s.send(connection, wire.Response{Error: failed(s.table.remove(ctx, request.Name))})
	case wire.OpWatch:
		s.tellChanges(ctx, connection)
	case wire.OpLogs:
		s.tellGrowth(ctx, connection, request)
	default:
		_ = s.send(connection, wire.Response{Error: &wire.Error{
			Kind: wire.KindInvalid, Text: fmt.Sprintf("operation %q is not known", request.Op)}})
	}
}

// tellChanges sends an empty response when it has begun to look, then every
// change.
func (s *service) tellChanges(ctx context.Context, connection net.Conn) {
	watcher, stop := s.table.watch()
	defer stop()
	if s.send(connection, wire.Response{}) != nil {
		return
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-watcher.wake:
		}
		for _, event := range s.table.take(watcher) {
			if s.send(connection, event) != nil {
				return
			}
		}
	}
}

// tellGrowth says where a log is and, to a follower, when there is more in it.
func (s *service) tellGrowth(ctx context.Context, connection net.Conn, request *wire.Request) {
	log := s.table.logOf(request.Name)
	if log == nil {
		_ = s.send(connection, wire.Response{Error: &wire.Error{
			Kind: wire.KindNotFound, Text: fmt.Sprintf("instance %s does not exist", request.Name.Key())}})
		return
	}
	grown, stop := s.table.logs.follow(log)
	defer stop()
	response := wire.Response{
		LogDir: filepath.Join(wire.InstancesDir, request.Name.Key()),
		Ended:  s.table.logs.ended(log),
	}
	for {
		if s.send(connection, response) != nil || response.Ended || !request.Follow {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-grown:
		}
		response = wire.Response{Ended: s.table.logs.ended(log)}
	}
}

func (s *service) send(connection net.Conn, response wire.Response) error {
	_ = connection.SetWriteDeadline(time.Now().Add(responseTimeout))
	return wire.Write(connection, response)
}

func failed(err error) *wire.Error {
	if err == nil {
		return nil
	}
	return &wire.Error{Kind: wire.KindFailed, Text: err.Error()}
}
