package client_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"

	"github.com/argosy-cluster/argosy/client"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

type (
	saveStream    = grpc.ServerStreamingServer[argosyv1.SaveSnapshotResponse]
	restoreStream = grpc.ClientStreamingServer[argosyv1.RestoreSnapshotRequest, argosyv1.RestoreSnapshotResponse]
)

// keeper is a server of backups whose answers a test decides.
type keeper struct {
	argosyv1.UnimplementedOperatorServiceServer
	save    func(saveStream) error
	restore func(restoreStream) error
	calls   atomic.Int32
	// stop takes the server away.
	stop func()
}

func (k *keeper) SaveSnapshot(_ *argosyv1.SaveSnapshotRequest, stream saveStream) error {
	k.calls.Add(1)
	return k.save(stream)
}

func (k *keeper) RestoreSnapshot(stream restoreStream) error {
	k.calls.Add(1)
	return k.restore(stream)
}

func mustKeep(t *testing.T, k *keeper) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	argosyv1.RegisterOperatorServiceServer(server, k)
	k.stop = func() { go server.Stop() }
	done := make(chan struct{})
	go func() { defer close(done); _ = server.Serve(listener) }()
	t.Cleanup(func() { server.Stop(); <-done })
	return listener.Addr().String()
}

func send(stream saveStream, parts ...string) error {
	header := &argosyv1.ResponseHeader{Revision: 7}
	for _, part := range parts {
		if err := stream.Send(&argosyv1.SaveSnapshotResponse{Header: header, Data: []byte(part)}); err != nil {
			return err
		}
		header = nil
	}
	return nil
}

// take reads a backup to its end.
func take(stream restoreStream) (string, *argosyv1.RestoreOptions, error) {
	var file strings.Builder
	var options *argosyv1.RestoreOptions
	for {
		message, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return file.String(), options, nil
		}
		if err != nil {
			return "", nil, err
		}
		if message.GetOptions() != nil {
			options = message.GetOptions()
		}
		file.Write(message.GetData())
	}
}

func TestASaveThatBreaksOffBeginsAnewElsewhere(t *testing.T) {
	broken := &keeper{save: func(stream saveStream) error {
		if err := send(stream, "a part ", "of it"); err != nil {
			return err
		}
		return argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_STOPPING, "stopping")
	}}
	whole := &keeper{save: func(stream saveStream) error { return send(stream, "all ", "of it") }}
	c := mustClient(t, client.Config{Endpoints: []string{mustKeep(t, broken), mustKeep(t, whole)}})
	var file bytes.Buffer
	begun := 0
	err := c.SaveSnapshot(t.Context(), &argosyv1.SaveSnapshotRequest{}, func(header *argosyv1.ResponseHeader) (io.Writer, error) {
		if header.GetRevision() != 7 {
			t.Errorf("it began with %v", header)
		}
		begun++
		file.Reset()
		return &file, nil
	})
	if err != nil || file.String() != "all of it" || begun != 2 {
		t.Fatalf("saved %q in %d tries: %v", file.String(), begun, err)
	}
}

func TestASaveEndsWithTheErrorOfItsFile(t *testing.T) {
	full := errors.New("disk full")
	k := &keeper{save: func(stream saveStream) error { return send(stream, "a", "b") }}
	c := mustClient(t, client.Config{Endpoints: []string{mustKeep(t, k)}})
	err := c.SaveSnapshot(t.Context(), &argosyv1.SaveSnapshotRequest{}, func(*argosyv1.ResponseHeader) (io.Writer, error) {
		return nil, full
	})
	if !errors.Is(err, full) || k.calls.Load() != 1 {
		t.Fatalf("saved in %d tries: %v", k.calls.Load(), err)
	}
}

// A server that sends nothing for long is left for another one.
func TestASaveLeavesAServerThatFellSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		silent := &keeper{save: func(stream saveStream) error {
			if err := send(stream, "a part"); err != nil {
				return err
			}
			<-stream.Context().Done()
			return stream.Context().Err()
		}}
		whole := &keeper{save: func(stream saveStream) error { return send(stream, "all of it") }}
		c := mustClientInBubble(t, client.Config{Timeout: 200 * time.Millisecond}, silent, whole)
		var file bytes.Buffer
		err := c.SaveSnapshot(t.Context(), &argosyv1.SaveSnapshotRequest{}, func(*argosyv1.ResponseHeader) (io.Writer, error) {
			file.Reset()
			return &file, nil
		})
		if err != nil || file.String() != "all of it" {
			t.Fatalf("saved %q: %v", file.String(), err)
		}
	})
}

func TestARestoreIsRepeatedOnlyWhenItCertainlyDidNotHappen(t *testing.T) {
	const content = "the backup"
	refuse := func(code argosyv1.ErrorCode) func(*keeper, restoreStream) error {
		return func(_ *keeper, stream restoreStream) error {
			if _, _, err := take(stream); err != nil {
				return err
			}
			return argosyv1.Errorf(code, "scripted failure")
		}
	}
	for name, c := range map[string]struct {
		first  func(*keeper, restoreStream) error
		dryRun bool
		want   argosyv1.ErrorCode // 0: the second server does it
	}{
		"no leader":      {refuse(argosyv1.ErrorCode_ERROR_CODE_NO_LEADER), false, 0},
		"not the leader": {refuse(argosyv1.ErrorCode_ERROR_CODE_NOT_LEADER), false, 0},
		"refused before the end": {func(*keeper, restoreStream) error {
			return argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_STOPPING, "stopping")
		}, false, 0},
		"fate unknown": {refuse(argosyv1.ErrorCode_ERROR_CODE_FATE_UNKNOWN), false, argosyv1.ErrorCode_ERROR_CODE_FATE_UNKNOWN},
		"conflict":     {refuse(argosyv1.ErrorCode_ERROR_CODE_CONFLICT), false, argosyv1.ErrorCode_ERROR_CODE_CONFLICT},
		"lost with all of it": {func(k *keeper, stream restoreStream) error {
			_, _, _ = take(stream)
			k.stop()
			<-stream.Context().Done()
			return stream.Context().Err()
		}, false, argosyv1.ErrorCode_ERROR_CODE_FATE_UNKNOWN},
		"lost with all of a rehearsal": {func(k *keeper, stream restoreStream) error {
			_, _, _ = take(stream)
			k.stop()
			<-stream.Context().Done()
			return stream.Context().Err()
		}, true, 0},
	} {
		t.Run(name, func(t *testing.T) {
			first := &keeper{}
			first.restore = func(stream restoreStream) error { return c.first(first, stream) }
			second := &keeper{restore: func(stream restoreStream) error {
				file, options, err := take(stream)
				if err != nil || file != content || options.GetDryRun() != c.dryRun {
					t.Errorf("it got %q with %v: %v", file, options, err)
				}
				return stream.SendAndClose(&argosyv1.RestoreSnapshotResponse{Header: &argosyv1.ResponseHeader{Revision: 9}})
			}}
			lib := mustClient(t, client.Config{Endpoints: []string{mustKeep(t, first), mustKeep(t, second)}})
			response, err := lib.RestoreSnapshot(t.Context(), &argosyv1.RestoreOptions{DryRun: c.dryRun}, func() (io.Reader, error) {
				return strings.NewReader(content), nil
			})
			if c.want == 0 {
				if err != nil || response.GetHeader().GetRevision() != 9 {
					t.Fatalf("restored %v: %v", response, err)
				}
				return
			}
			if argosyv1.CodeOf(err) != c.want || second.calls.Load() != 0 {
				t.Fatalf("restored with %d tries at the second server: %v", second.calls.Load(), err)
			}
		})
	}
}
