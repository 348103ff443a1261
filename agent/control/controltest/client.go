// Package controltest has a client of the control interface, for tests: it does
// what the SDKs of Ankaios do, and what they never would.
package controltest

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/argosy-cluster/argosy/proto/ankaios"
)

// Version that SDKs say in their Hello.
const Version = "1.0.0"

// ErrRefused is returned by Hello when the agent answered with ConnectionClosed.
var ErrRefused = errors.New("connection closed by the agent")

// Client is one workload's side. It is not safe for concurrent use, but one may
// send while another receives.
type Client struct {
	output, input *os.File
	reader        *bufio.Reader
}

// Dial opens both pipes of a folder, as an SDK does; no message is sent.
func Dial(folder string) (*Client, error) {
	c, err := DialWriteOnly(folder)
	if err != nil {
		return nil, err
	}
	if err := c.OpenInput(folder); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// DialWriteOnly opens the pipe to the agent alone.
func DialWriteOnly(folder string) (*Client, error) {
	output, err := os.OpenFile(filepath.Join(folder, "output"), os.O_WRONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("dial control interface: %w", err)
	}
	return &Client{output: output}, nil
}

// OpenInput opens the pipe from the agent.
func (c *Client) OpenInput(folder string) error {
	input, err := os.OpenFile(filepath.Join(folder, "input"), os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return fmt.Errorf("dial control interface: %w", err)
	}
	c.input, c.reader = input, bufio.NewReader(input)
	return nil
}

// CloseInput closes the pipe from the agent; what was not read is lost.
func (c *Client) CloseInput() {
	if c.input != nil {
		_ = c.input.Close()
	}
	c.input, c.reader = nil, nil
}

// Close closes both pipes.
func (c *Client) Close() {
	_ = c.output.Close()
	c.CloseInput()
}

// Write writes bytes that need not be a message. It waits while the pipe is full.
func (c *Client) Write(ctx context.Context, data []byte) error {
	defer within(ctx, c.output)()
	if _, err := c.output.Write(data); err != nil {
		return errors.Join(context.Cause(ctx), fmt.Errorf("write to the agent: %w", err))
	}
	return nil
}

// Send writes a message.
func (c *Client) Send(ctx context.Context, message *ankaios.ToAnkaios) error {
	return c.Write(ctx, Frame(message))
}

// SendHello sends a Hello and does not wait for the answer.
func (c *Client) SendHello(ctx context.Context, version string) error {
	return c.Send(ctx, Hello(version))
}

// SendRequest sends a request and does not wait for the answer.
func (c *Client) SendRequest(ctx context.Context, request *ankaios.Request) error {
	return c.Send(ctx, &ankaios.ToAnkaios{ToAnkaiosEnum: &ankaios.ToAnkaios_Request{Request: request}})
}

// Receive reads the next message. io.EOF means that no agent has the pipe open.
func (c *Client) Receive(ctx context.Context) (*ankaios.FromAnkaios, error) {
	defer within(ctx, c.input)()
	size, err := binary.ReadUvarint(c.reader)
	if err != nil {
		return nil, errors.Join(context.Cause(ctx), err)
	}
	data := make([]byte, size)
	if _, err := io.ReadFull(c.reader, data); err != nil {
		return nil, errors.Join(context.Cause(ctx), err)
	}
	message := &ankaios.FromAnkaios{}
	if err := proto.Unmarshal(data, message); err != nil {
		return nil, fmt.Errorf("decode message of the agent: %w", err)
	}
	return message, nil
}

// Hello begins a session.
func (c *Client) Hello(ctx context.Context) error {
	if err := c.SendHello(ctx, Version); err != nil {
		return err
	}
	for {
		message, err := c.Receive(ctx)
		switch {
		case err != nil:
			return err
		case message.GetControlInterfaceAccepted() != nil:
			return nil
		case message.GetConnectionClosed() != nil:
			return fmt.Errorf("%w: %s", ErrRefused, message.GetConnectionClosed().GetReason())
		}
	}
}

// Request sends a request and returns the next response with its id.
func (c *Client) Request(ctx context.Context, request *ankaios.Request) (*ankaios.Response, error) {
	if err := c.SendRequest(ctx, request); err != nil {
		return nil, err
	}
	return c.Response(ctx, request.GetRequestId())
}

// Response returns the next response with an id, and passes over all others.
func (c *Client) Response(ctx context.Context, id string) (*ankaios.Response, error) {
	for {
		message, err := c.Receive(ctx)
		if err != nil {
			return nil, err
		}
		if closed := message.GetConnectionClosed(); closed != nil {
			return nil, fmt.Errorf("%w: %s", ErrRefused, closed.GetReason())
		}
		if response := message.GetResponse(); response.GetRequestId() == id && response != nil {
			return response, nil
		}
	}
}

// within ends what a file waits for together with the context.
func within(ctx context.Context, file *os.File) (done func()) {
	_ = file.SetDeadline(time.Time{})
	stop := context.AfterFunc(ctx, func() { _ = file.SetDeadline(time.Unix(1, 0)) })
	return func() { stop() }
}

// Hello returns a Hello.
func Hello(version string) *ankaios.ToAnkaios {
	return &ankaios.ToAnkaios{ToAnkaiosEnum: &ankaios.ToAnkaios_Hello{Hello: &ankaios.Hello{ProtocolVersion: version}}}
}

// Frame returns a message as it is written to the pipe.
func Frame(message proto.Message) []byte {
	data, err := proto.Marshal(message)
	if err != nil {
		return nil
	}
	return append(protowire.AppendVarint(nil, uint64(len(data))), data...)
}

// Get returns a request for the state.
func Get(id string, mask ...string) *ankaios.Request {
	return &ankaios.Request{RequestId: id, RequestContent: &ankaios.Request_CompleteStateRequest{
		CompleteStateRequest: &ankaios.CompleteStateRequest{FieldMask: mask}}}
}

// Update returns a request to change the state.
func Update(id string, state *ankaios.CompleteState, mask ...string) *ankaios.Request {
	return &ankaios.Request{RequestId: id, RequestContent: &ankaios.Request_UpdateStateRequest{
		UpdateStateRequest: &ankaios.UpdateStateRequest{NewState: state, UpdateMask: mask}}}
}

// Events returns a request for the state and every change of it.
func Events(id string, mask ...string) *ankaios.Request {
	return &ankaios.Request{RequestId: id, RequestContent: &ankaios.Request_CompleteStateRequest{
		CompleteStateRequest: &ankaios.CompleteStateRequest{FieldMask: mask, SubscribeForEvents: true}}}
}

// CancelEvents returns a request that ends the events of the same id.
func CancelEvents(id string) *ankaios.Request {
	return &ankaios.Request{RequestId: id, RequestContent: &ankaios.Request_EventsCancelRequest{
		EventsCancelRequest: &ankaios.EventsCancelRequest{}}}
}

// Logs returns a request for logs.
func Logs(id string, workloads ...*ankaios.WorkloadInstanceName) *ankaios.Request {
	return &ankaios.Request{RequestId: id, RequestContent: &ankaios.Request_LogsRequest{
		LogsRequest: &ankaios.LogsRequest{WorkloadNames: workloads}}}
}

// CancelLogs returns a request that ends the logs of the same id.
func CancelLogs(id string) *ankaios.Request {
	return &ankaios.Request{RequestId: id, RequestContent: &ankaios.Request_LogsCancelRequest{
		LogsCancelRequest: &ankaios.LogsCancelRequest{}}}
}

// Unread returns how many bytes the agent has not read yet.
func (c *Client) Unread() (int, error) { return waiting(c.output) }

// ReadOnce returns what one reading of the pipe brings, and waits for it. It must
// not be mixed with Receive.
func (c *Client) ReadOnce(ctx context.Context) ([]byte, error) {
	defer within(ctx, c.input)()
	data := make([]byte, 1<<20)
	n, err := c.input.Read(data)
	if err != nil {
		return nil, errors.Join(context.Cause(ctx), err)
	}
	return data[:n], nil
}

// WantInput returns an error while there is nothing to read.
func (c *Client) WantInput() error {
	if n, err := waiting(c.input); err != nil || n == 0 {
		return errors.Join(errors.New("nothing to read"), err)
	}
	return nil
}

func waiting(pipe *os.File) (n int, err error) {
	raw, err := pipe.SyscallConn()
	if err != nil {
		return 0, err
	}
	controlErr := raw.Control(func(fd uintptr) { n, err = unix.IoctlGetInt(int(fd), unix.TIOCINQ) })
	return n, errors.Join(err, controlErr)
}
