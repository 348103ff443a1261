package lab

import (
	"encoding/binary"
	"errors"
	"fmt"
	"syscall"

	"github.com/vishvananda/netlink/nl"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// ResetConnections breaks every TCP connection that a process on the host has,
// with a reset to both ends, and returns how many it broke. Listeners stay.
func (h *Host) ResetConnections() (int, error) {
	n, err := h.resetConnections()
	if err != nil {
		return n, fmt.Errorf("reset connections of %s: %w", h.Name, err)
	}
	return n, nil
}

func (h *Host) resetConnections() (int, error) {
	namespace, err := nl.GetNetlinkSocketAt(h.namespace, netns.None(), unix.NETLINK_INET_DIAG)
	if err != nil {
		return 0, err
	}
	defer namespace.Close()
	sockets := map[int]*nl.SocketHandle{unix.NETLINK_INET_DIAG: {Socket: namespace}}
	broken := 0
	for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
		list := nl.NewNetlinkRequest(nl.SOCK_DIAG_BY_FAMILY, unix.NLM_F_DUMP)
		list.Sockets = sockets
		list.AddData(&diagRequest{family: family, states: connected})
		answers, err := list.Execute(unix.NETLINK_INET_DIAG, nl.SOCK_DIAG_BY_FAMILY)
		// An interrupted listing lacks what came or went meanwhile.
		if err != nil && !errors.Is(err, nl.ErrDumpInterrupted) {
			return broken, fmt.Errorf("list: %w", err)
		}
		for _, answer := range answers {
			if len(answer) < diagIDAt+diagIDSize {
				return broken, fmt.Errorf("list: an answer of %d bytes is too short", len(answer))
			}
			destroy := nl.NewNetlinkRequest(nl.SOCK_DESTROY, unix.NLM_F_ACK)
			destroy.Sockets = sockets
			destroy.AddData(&diagRequest{family: family, states: connected, id: answer[diagIDAt : diagIDAt+diagIDSize]})
			switch _, err := destroy.Execute(unix.NETLINK_INET_DIAG, 0); {
			case err == nil:
				broken++
			case errors.Is(err, unix.EOPNOTSUPP):
				return broken, fmt.Errorf("%w: the kernel destroys no sockets (CONFIG_INET_DIAG_DESTROY)", ErrUnable)
			case !errors.Is(err, unix.ENOENT):
				return broken, err
			}
		}
	}
	return broken, nil
}

// A request for sockets, as the kernel's inet_diag_req_v2, and where in an
// answer, an inet_diag_msg, is the id of a socket.
const (
	diagRequestSize = 56
	diagIDSize      = 48
	diagIDAt        = 4
	// connected are the states from established to closing, but not the one of
	// who has ended already, nor of who listens.
	connected = 1<<1 | 1<<2 | 1<<3 | 1<<4 | 1<<5 | 1<<8 | 1<<9 | 1<<11
)

type diagRequest struct {
	family uint8
	states uint32
	// id is that of one socket, empty for all.
	id []byte
}

var _ nl.NetlinkRequestData = (*diagRequest)(nil)

// Len is how long it is.
func (r *diagRequest) Len() int { return diagRequestSize }

// Serialize writes it as the kernel reads it.
func (r *diagRequest) Serialize() []byte {
	b := make([]byte, diagRequestSize)
	b[0], b[1] = r.family, syscall.IPPROTO_TCP
	binary.NativeEndian.PutUint32(b[4:], r.states)
	copy(b[8:], r.id)
	return b
}
