// Package wire is what an agent and its keeper say to each other over a Unix
// socket: one request a connection, answered by one response, or by a stream of
// them that lasts until the connection ends. A frame is its length in four
// bytes, big endian, and a JSON document. One request a connection makes
// cancelling a close, and needs no numbering.
//
// It protects one invariant: both sides know whether they understand each other.
// Every request names its protocol version; a keeper that does not speak it says
// which one it does.
package wire

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// Version of the protocol.
const Version = 1

// MaxFrame is the longest frame, in bytes.
const MaxFrame = 32 << 20

// ErrFrameTooLong is returned when a frame is longer than MaxFrame: the other
// side speaks something else, or the message is too large to be sent.
var ErrFrameTooLong = errors.New("frame too long")

// Operations.
const (
	OpList   = "list"   // one response with Instances
	OpStart  = "start"  // one response with Instance
	OpRemove = "remove" // one response when it is gone
	OpWatch  = "watch"  // one empty response, then one for each event
	OpLogs   = "logs"   // one response with LogDir and Ended, then, with Follow, one for each addition and one with Ended
)

// Request is what an agent asks.
type Request struct {
	Version int    `json:"version"`
	Op      string `json:"op"`
	Name    Name   `json:"name,omitzero"`
	Start   *Start `json:"start,omitempty"`
	Follow  bool   `json:"follow,omitempty"`
}

// Name names an instance.
type Name struct {
	Workload string `json:"workload"`
	ID       string `json:"id"`
	Agent    string `json:"agent"`
}

// Key is the text form of the name, also the name of its directory.
func (n Name) Key() string { return n.Workload + "." + n.ID + "." + n.Agent }

var namePart = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,80}$`)

// Validate refuses names that are no safe file names.
func (n Name) Validate() error {
	for _, part := range []string{n.Workload, n.ID, n.Agent} {
		if !namePart.MatchString(part) {
			return fmt.Errorf("name %q: part %q is not 1 to 80 characters of [a-zA-Z0-9_-]", n.Key(), part)
		}
	}
	return nil
}

// Start says what to start and how to stop it.
type Start struct {
	// Reuse keeps the log of an ended instance.
	Reuse bool `json:"reuse,omitempty"`
	// Args are the command and its arguments. A command without a slash is
	// looked up in the PATH of Env.
	Args []string `json:"args"`
	// Env is the whole environment, as NAME=VALUE.
	Env []string `json:"env"`
	// Dir is the working directory.
	Dir string `json:"dir"`
	// StopSignal asks the processes to end.
	StopSignal int `json:"stop_signal"`
	// StopTimeout is how long they may take before they are killed.
	StopTimeout time.Duration `json:"stop_timeout"`
}

// Status of an instance.
type Status string

// Statuses.
const (
	Running  Status = "running"
	Stopping Status = "stopping"
	Exited   Status = "exited"
)

// ExitUnknown is the exit code of an instance that ended while nobody looked.
const ExitUnknown = -1

// Instance is what the keeper has.
type Instance struct {
	Name     Name      `json:"name"`
	Status   Status    `json:"status"`
	PID      int       `json:"pid"`
	ExitCode int       `json:"exit_code,omitempty"`
	Detail   string    `json:"detail,omitempty"`
	Started  time.Time `json:"started"`
}

// Response is what a keeper answers.
type Response struct {
	Error     *Error     `json:"error,omitempty"`
	Instance  *Instance  `json:"instance,omitempty"`
	Instances []Instance `json:"instances,omitempty"`
	// Gone is set when the instance does not exist any more.
	Gone bool `json:"gone,omitempty"`
	// Resync is set when events were missed.
	Resync bool `json:"resync,omitempty"`
	// LogDir is the directory of the log, relative to the keeper's.
	LogDir string `json:"log_dir,omitempty"`
	// Ended is set when the log will not grow any more.
	Ended bool `json:"ended,omitempty"`
}

// Kinds of errors.
const (
	// KindFailed is a request that could not be carried out and may be repeated.
	KindFailed = "failed"
	// KindInvalid is a request that can never be carried out.
	KindInvalid = "invalid"
	// KindNotFound is a request about an instance that does not exist.
	KindNotFound = "not_found"
	// KindVersion is a request of a protocol that the keeper does not speak.
	KindVersion = "version"
)

// Error is a failure that travels.
type Error struct {
	Kind string `json:"kind"`
	Text string `json:"text"`
}

func (e *Error) Error() string { return e.Text }

// Write sends a message as one frame.
func Write(w io.Writer, message any) error {
	frame := make([]byte, 4, 512)
	body, err := json.Marshal(message)
	if err != nil {
		return fmt.Errorf("encode frame: %w", err)
	}
	if len(body) > MaxFrame {
		return fmt.Errorf("send frame of %d bytes: %w (%d)", len(body), ErrFrameTooLong, MaxFrame)
	}
	binary.BigEndian.PutUint32(frame, uint32(len(body)))
	_, err = w.Write(append(frame, body...))
	return err
}

// Read receives a frame into a message.
func Read(r io.Reader, message any) error {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return err
	}
	length := binary.BigEndian.Uint32(head[:])
	if length > MaxFrame {
		return fmt.Errorf("receive frame of %d bytes: %w (%d)", length, ErrFrameTooLong, MaxFrame)
	}
	body := make([]byte, length)
	if _, err := io.ReadFull(r, body); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return err
	}
	if err := json.Unmarshal(body, message); err != nil {
		return fmt.Errorf("decode frame: %w", err)
	}
	return nil
}

// Files of a keeper's directory.
const (
	SocketFile   = "keeper.sock"
	LockFile     = "keeper.lock"
	LogFile      = "keeper.log"
	InstancesDir = "instances"
)

// EnvReady names the environment variable that tells a keeper the number of the
// file descriptor on which it says, in one line, that it can be reached
// ("ready"), that there is one already ("held"), or why it cannot start.
const EnvReady = "ARGOSY_KEEPER_READY_FD"

// Words said on the file descriptor of EnvReady.
const (
	Ready = "ready"
	Held  = "held"
)

// ShortPath returns a path to the socket in a directory that fits into a socket
// address, which holds 107 bytes, however long the directory's own is. It is
// valid until release is called.
func ShortPath(dir string) (path string, release func(), err error) {
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", nil, &os.PathError{Op: "open", Path: dir, Err: err}
	}
	path = filepath.Join("/proc/self/fd", strconv.Itoa(fd), SocketFile)
	return path, func() { _ = unix.Close(fd) }, nil
}
