package consensus

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// The first bytes on every connection between servers. The caller says what it
// is, and for whom the connection is; the other side answers whether it goes
// on. Raft's own messages name neither the cluster nor the server they are
// meant for: without this, a server that took over the address of another
// would answer in its place, and be counted twice.
//
//	call:   "ARGR" lowest highest realm from to     (versions one byte, texts
//	        with their length before them in one byte; realm: cluster, and
//	        "/incarnation" after a recovery)
//	answer: version text                            (version 0: refused, the
//	        text says why; its length before it in two bytes)

const (
	streamVersion = 1 // lowest and highest that this code speaks
	maxRefusal    = 512
)

var streamMagic = [4]byte{'A', 'R', 'G', 'R'}

var errNotRaft = errors.New("the caller does not speak Argosy's Raft protocol")

type call struct {
	lowest, highest byte
	realm, from, to string
}

func writeCall(w io.Writer, c call) error {
	message := append([]byte(nil), streamMagic[:]...)
	message = append(message, c.lowest, c.highest)
	for _, text := range []string{c.realm, c.from, c.to} {
		if len(text) > 255 {
			return fmt.Errorf("write preamble: %d bytes are too long for an id", len(text))
		}
		message = append(message, byte(len(text)))
		message = append(message, text...)
	}
	_, err := w.Write(message)
	return err
}

func readCall(r io.Reader) (call, error) {
	var head [6]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return call{}, err
	}
	if [4]byte(head[:4]) != streamMagic {
		return call{}, errNotRaft
	}
	c := call{lowest: head[4], highest: head[5]}
	for _, text := range []*string{&c.realm, &c.from, &c.to} {
		var size [1]byte
		if _, err := io.ReadFull(r, size[:]); err != nil {
			return call{}, err
		}
		body := make([]byte, size[0])
		if _, err := io.ReadFull(r, body); err != nil {
			return call{}, err
		}
		*text = string(body)
	}
	return c, nil
}

// writeAnswer accepts the call, or refuses it with a reason.
func writeAnswer(w io.Writer, refusal string) error {
	message := []byte{streamVersion}
	if refusal != "" {
		message[0] = 0
		refusal = refusal[:min(len(refusal), maxRefusal)]
	}
	message = binary.BigEndian.AppendUint16(message, uint16(len(refusal)))
	_, err := w.Write(append(message, refusal...))
	return err
}

func readAnswer(r io.Reader) (refusal string, err error) {
	var head [3]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return "", err
	}
	size := int(binary.BigEndian.Uint16(head[1:]))
	if size > maxRefusal {
		return "", fmt.Errorf("read answer: text of %d bytes", size)
	}
	body := make([]byte, size)
	if _, err := io.ReadFull(r, body); err != nil {
		return "", err
	}
	if head[0] == 0 {
		return string(body), nil
	}
	return "", nil
}
