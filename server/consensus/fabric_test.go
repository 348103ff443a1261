package consensus

import (
	"errors"
	"net"
	"testing"
	"testing/synctest"
)

// slowConn is a connection whose end takes so long that everybody who can do
// something has done it.
type slowConn struct {
	net.Conn
	written []byte
}

func (c *slowConn) Write(b []byte) (int, error) {
	c.written = append(c.written, b...)
	return len(b), nil
}

func (c *slowConn) Close() error {
	synctest.Wait()
	return nil
}

// What a frozen process was about to send is not sent by its death.
func TestNothingOfAFrozenMemberGetsOutWhenItIsKilled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fabric := newFabric()
		fabric.freeze("m0")
		slow := &slowConn{}
		conn := newFabricConn(slow, fabric, "m0")
		sent := make(chan error, 1)
		go func() {
			_, err := conn.Write([]byte("state"))
			sent <- err
		}()
		synctest.Wait()
		if err := conn.Close(); err != nil {
			t.Fatal(err)
		}
		fabric.thaw("m0")
		if err := <-sent; !errors.Is(err, net.ErrClosed) || len(slow.written) > 0 {
			t.Errorf("sent %q, %v", slow.written, err)
		}
	})
}
