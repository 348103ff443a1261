package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// restorePatience bounds how long the answer to a restore is waited for once a
// server has all of the backup.
const restorePatience = 12 * time.Minute

// restoreChunk is how large the messages are that a backup is sent in.
const restoreChunk = 256 << 10

// SaveSnapshot writes a backup of the whole desired state. begin is called when
// a server has begun to send one and returns where it goes; it is called again,
// to begin anew, when that server is lost on the way.
func (c *Client) SaveSnapshot(ctx context.Context, req *argosyv1.SaveSnapshotRequest, begin func(*argosyv1.ResponseHeader) (io.Writer, error)) error {
	return c.stream(ctx, "save snapshot", func(ctx context.Context, stub services, heard func()) error {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		silence := time.AfterFunc(c.config.Timeout, cancel)
		defer silence.Stop()
		stream, err := stub.SaveSnapshot(ctx, req)
		if err != nil {
			return err
		}
		var to io.Writer
		err = receive(stream, func(message *argosyv1.SaveSnapshotResponse) error {
			heard()
			silence.Reset(c.config.Timeout)
			if to == nil {
				var err error
				if to, err = begin(message.GetHeader()); err != nil {
					return err
				}
			}
			_, err := to.Write(message.GetData())
			return err
		})
		if err == nil && to == nil {
			return &handlerError{errors.New("save snapshot: the server sent nothing")}
		}
		return err
	})
}

// RestoreSnapshot replaces the whole desired state by that of a backup. open
// returns the backup from its beginning, and is called again for each try. A
// restore of which it is not known whether it happened is not tried again: what
// was written since would be lost a second time.
func (c *Client) RestoreSnapshot(ctx context.Context, options *argosyv1.RestoreOptions, open func() (io.Reader, error)) (*argosyv1.RestoreSnapshotResponse, error) {
	var response *argosyv1.RestoreSnapshotResponse
	err := c.stream(ctx, "restore snapshot", func(ctx context.Context, stub services, heard func()) error {
		from, err := open()
		if err != nil {
			return &handlerError{err}
		}
		complete, err := c.restore(ctx, stub, options, from, &response)
		if err == nil {
			heard()
			return nil
		}
		_, spoken := argosyv1.AsError(err)
		switch {
		case argosyv1.CodeOf(err) == argosyv1.ErrorCode_ERROR_CODE_FATE_UNKNOWN:
			return &handlerError{err}
		case !spoken && complete && !options.GetDryRun():
			return &handlerError{argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_FATE_UNKNOWN,
				"restore snapshot: it may or may not have been done, for no answer came back: %s: read the state before you repeat it", Reason(err))}
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return response, nil
}

// restore makes one try, and tells whether the server may have had all of the
// backup.
func (c *Client) restore(ctx context.Context, stub services, options *argosyv1.RestoreOptions, from io.Reader, response **argosyv1.RestoreSnapshotResponse) (complete bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	silence := time.AfterFunc(c.config.Timeout, cancel)
	defer silence.Stop()
	stream, err := stub.RestoreSnapshot(ctx)
	if err != nil {
		return false, err
	}
	message := &argosyv1.RestoreSnapshotRequest{Options: options}
	for {
		data := make([]byte, restoreChunk)
		n, readErr := io.ReadFull(from, data)
		if readErr != nil && !errors.Is(readErr, io.EOF) && !errors.Is(readErr, io.ErrUnexpectedEOF) {
			return false, &handlerError{fmt.Errorf("restore snapshot: read backup: %w", readErr)}
		}
		message.Data = data[:n]
		if err := stream.Send(message); errors.Is(err, io.EOF) {
			// The server has answered before the end; the answer says why.
			*response, err = stream.CloseAndRecv()
			return false, err
		} else if err != nil {
			return false, err
		}
		silence.Reset(c.config.Timeout)
		if readErr != nil {
			break
		}
		message = &argosyv1.RestoreSnapshotRequest{}
	}
	silence.Reset(restorePatience)
	*response, err = stream.CloseAndRecv()
	return true, err
}
