package forward

import (
	"context"
	"errors"
	"runtime"
	"time"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
	"github.com/argosy-cluster/argosy/server/writer"
	"google.golang.org/grpc"
)

// Receiver is the leader's side of the streams.
type Receiver struct {
	// Local returns the local writer; false when this server does not lead. A
	// write that came over a stream goes no further.
	Local func() (Target, bool)
	// Hello makes this server's handshake.
	Hello func() *argosyv1.PeerHandshake
	// Check refuses a peer.
	Check func(*argosyv1.PeerHandshake) error
	// Stopping ends all streams when it is closed.
	Stopping <-chan struct{}
}

type forwardStream = grpc.BidiStreamingServer[argosyv1.ForwardRequest, argosyv1.ForwardResponse]

// Serve carries out the writes of one stream until it ends.
func (v *Receiver) Serve(stream forwardStream) error {
	message, err := stream.Recv()
	if err != nil {
		return err
	}
	if err := v.Check(message.GetHandshake()); err != nil {
		return err
	}
	out := newAnswers[argosyv1.ForwardedResult]()
	ctx, cancel := context.WithCancel(stream.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		ended <- v.receive(stream, message, out)
		cancel()
	}()
	sendErr := v.send(ctx, stream, out)
	out.close()
	select {
	case err := <-ended:
		return err
	default:
		// Returning ends the stream, and with it the receiver.
		return sendErr
	}
}

func (v *Receiver) receive(stream forwardStream, message *argosyv1.ForwardRequest, out *answers[argosyv1.ForwardedResult]) error {
	for {
		v.submit(message.GetWrites(), out)
		var err error
		if message, err = stream.Recv(); err != nil {
			return err
		}
	}
}

func (v *Receiver) submit(writes []*argosyv1.ForwardedWrite, out *answers[argosyv1.ForwardedResult]) {
	local, leads := v.Local()
	requests := make([]*writer.Request, 0, len(writes))
	for _, w := range writes {
		sequence := w.GetSequence()
		if !leads {
			out.add(failed(sequence, argosyv1.ErrorCode_ERROR_CODE_NOT_LEADER, "this server does not lead"))
			continue
		}
		r := &writer.Request{
			Principal: w.GetPrincipal(),
			Apply:     w.GetApply(),
			Delete:    w.GetDelete(),
			Remove:    w.GetRemoveAgent(),
			Repeat:    w.GetRepeat(),
			Done:      func(o writer.Outcome) { out.add(resultOf(sequence, o)) },
		}
		if r.Apply == nil && r.Delete == nil && r.Remove == nil {
			out.add(failed(sequence, argosyv1.ErrorCode_ERROR_CODE_INCOMPATIBLE,
				"the leader does not know this kind of write; upgrade all servers"))
			continue
		}
		if timeout := w.GetTimeoutMs(); timeout > 0 {
			r.Deadline = time.Now().Add(time.Duration(timeout) * time.Millisecond)
		}
		requests = append(requests, r)
	}
	if len(requests) > 0 {
		submitAll(local, requests)
	}
}

func (v *Receiver) send(ctx context.Context, stream forwardStream, out *answers[argosyv1.ForwardedResult]) error {
	message := &argosyv1.ForwardResponse{Handshake: v.Hello()}
	for {
		if err := stream.Send(message); err != nil {
			return err
		}
		var results []*argosyv1.ForwardedResult
		for len(results) == 0 {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-v.Stopping:
				return argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_STOPPING, "the server is stopping")
			case <-out.ready:
			}
			// The writer answers a whole batch in a row: let it.
			runtime.Gosched()
			results = out.take()
		}
		message = &argosyv1.ForwardResponse{Results: results}
	}
}

func failed(sequence uint64, code argosyv1.ErrorCode, text string) *argosyv1.ForwardedResult {
	return &argosyv1.ForwardedResult{Sequence: sequence, Error: &argosyv1.ErrorDetail{Code: code}, Message: text}
}

func resultOf(sequence uint64, o writer.Outcome) *argosyv1.ForwardedResult {
	if o.Err == nil {
		return &argosyv1.ForwardedResult{Sequence: sequence, Revision: o.Revision, Result: o.Result, Replayed: o.Replayed}
	}
	switch {
	case errors.Is(o.Err, writer.ErrNotDone):
		return failed(sequence, argosyv1.ErrorCode_ERROR_CODE_NOT_LEADER, o.Err.Error())
	case errors.Is(o.Err, writer.ErrFateUnknown):
		return failed(sequence, argosyv1.ErrorCode_ERROR_CODE_FATE_UNKNOWN, o.Err.Error())
	}
	if e, ok := argosyv1.AsError(o.Err); ok {
		return &argosyv1.ForwardedResult{Sequence: sequence, Error: e.Detail, Message: e.Message}
	}
	return failed(sequence, argosyv1.ErrorCode_ERROR_CODE_INTERNAL, o.Err.Error())
}
