package consensus

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/argosy-cluster/argosy/membership/identity"
	"github.com/argosy-cluster/argosy/membership/identity/authority"
	"github.com/argosy-cluster/argosy/membership/identity/identitytest"
)

// end is one end of the stream layer with what happened to it.
type end struct {
	*layer
	lostPeers chan string
	log       *lockedBuffer
}

type lockedBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

func mustListen(t *testing.T, id, cluster string, tls *identity.Identity) *end {
	t.Helper()
	streams := systemNetwork()
	listener, err := streams.Listen(context.Background(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	e := &end{lostPeers: make(chan string, 8), log: new(lockedBuffer)}
	e.layer = &layer{
		listener:  listener,
		advertise: advertised(listener.Addr().String()),
		self:      id,
		realm:     func() realm { return parseRealm(cluster) },
		tls:       tls,
		network:   streams,
		patience:  10 * time.Second,
		lost:      func(peer string) { e.lostPeers <- peer },
		dialled:   func(string, string, error) {},
		log:       slog.New(slog.NewTextHandler(e.log, nil)),
		quiet:     newLimiter(time.Minute),
	}
	e.start()
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

// connect dials from one end to another and sends a byte each way.
func connect(t *testing.T, from, to *end, id string) (dialed, accepted net.Conn, err error) {
	t.Helper()
	dialed, err = from.Dial(target(raft.ServerID(id), raft.ServerAddress(to.Addr().String())), 10*time.Second)
	if err != nil {
		return nil, nil, err
	}
	if accepted, err = to.Accept(); err != nil {
		t.Fatal(err)
	}
	for _, way := range [][2]net.Conn{{dialed, accepted}, {accepted, dialed}} {
		if _, err := way[0].Write([]byte{7}); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(way[1], make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
	}
	return dialed, accepted, nil
}

func TestConnectionsThatAreNotForThisServer(t *testing.T) {
	for name, test := range map[string]struct {
		from, fromCluster string
		to                string
		ownCluster        string
		says              string
	}{
		"welcome":          {"a", "one", "b", "one", ""},
		"another cluster":  {"a", "two", "b", "one", "cluster two"},
		"no cluster yet":   {"a", "one", "b", "", "in no cluster yet"},
		"another server":   {"a", "one", "c", "one", "this is server b"},
		"a copy of itself": {"b", "one", "b", "one", "a data directory was copied"},
		"homeless caller":  {"a", "", "b", "one", "in no cluster yet"},
		"same incarnation": {"a", "one/2-0000000a", "b", "one/2-0000000a", ""},
		"left behind":      {"a", "one", "b", "one/1-0000000a", "the caller was left behind"},
		"recovered since":  {"a", "one/2-0000000a", "b", "one/1-0000000b", "this server was left behind"},
		"recovered twice":  {"a", "one/1-0000000a", "b", "one/1-0000000b", "keep one of the two"},
	} {
		t.Run(name, func(t *testing.T) {
			from, to := mustListen(t, test.from, test.fromCluster, nil), mustListen(t, "b", test.ownCluster, nil)
			_, _, err := connect(t, from, to, test.to)
			if test.says == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), test.says) {
				t.Fatalf("caller is told %v, want %q", err, test.says)
			}
			if test.fromCluster != "" {
				eventually(t, "the refusal is logged", func() bool { return strings.Contains(to.log.String(), test.says) })
			}
		})
	}
}

func TestCallersThatDoNotSpeakTheProtocol(t *testing.T) {
	to := mustListen(t, "b", "one", nil)
	for _, says := range []string{"", "GET / HTTP/1.1\r\n\r\n", "ARGR\x05\x09\x03one\x01a\x01b", "ARGR"} {
		conn, err := net.Dial("tcp", to.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(conn, says); err != nil {
			t.Fatal(err)
		}
		_ = conn.(*net.TCPConn).CloseWrite() // refused already, perhaps
		answer, err := io.ReadAll(conn)
		if err != nil && !errors.Is(err, net.ErrClosed) && !strings.Contains(err.Error(), "reset") {
			t.Fatal(err)
		}
		if strings.Contains(says, "\x05\x09") && !strings.Contains(string(answer), "versions 5 to 9") {
			t.Errorf("answer to a newer version: %q", answer)
		}
		_ = conn.Close()
	}
	refusals := func() int { return strings.Count(to.log.String(), "refused a Raft connection") }
	eventually(t, "each caller but the one that only looked is refused in the log", func() bool { return refusals() >= 3 })
	if got := refusals(); got != 3 {
		t.Errorf("%d refusals logged, want 3:\n%s", got, to.log)
	}
	if !strings.Contains(to.log.String(), errNotRaft.Error()) {
		t.Errorf("the log does not say %q:\n%s", errNotRaft, to.log)
	}
}

func TestMutualTLSBetweenServers(t *testing.T) {
	ca, stranger := identitytest.NewCA(t), identitytest.NewCA(t)
	server := func() *identity.Identity { return ca.Identity(t, identity.ServerName) }
	for name, test := range map[string]struct {
		from, to *identity.Identity
		says     string
	}{
		"both are servers":             {server(), server(), ""},
		"caller without a certificate": {nil, server(), ""},
		"listener without TLS":         {server(), nil, "TLS"},
		"caller of another authority":  {stranger.Identity(t, identity.ServerName), server(), "certificate"},
		"caller is an agent":           {ca.Identity(t, "agent-a"), server(), identity.ServerName},
		"listener is an agent":         {server(), ca.Identity(t, "agent-a"), identity.ServerName},
	} {
		t.Run(name, func(t *testing.T) {
			from, to := mustListen(t, "a", "one", test.from), mustListen(t, "b", "one", test.to)
			conn, _, err := connect(t, from, to, "b")
			if name == "both are servers" {
				if err != nil {
					t.Fatal(err)
				}
				secured, ok := conn.(*stream).Conn.(*tls.Conn)
				if !ok || secured.ConnectionState().Version != tls.VersionTLS13 {
					t.Fatalf("connected by %T", conn.(*stream).Conn)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), test.says) {
				t.Fatalf("caller is told %v, want %q", err, test.says)
			}
		})
	}
}

// TestExpiredCertificateIsRefused calls as a server would whose certificate ran
// out while it was up: none is loaded once it is out.
func TestExpiredCertificateIsRefused(t *testing.T) {
	ca := identitytest.NewCA(t)
	to := mustListen(t, "b", "one", ca.Identity(t, identity.ServerName))
	issued, err := ca.Authority.Issue(authority.Request{
		DNSNames:  []string{identity.ServerName},
		NotBefore: time.Now().Add(-time.Hour),
		TTL:       -time.Minute,
	})
	if err != nil {
		t.Fatal(err)
	}
	expired, err := tls.X509KeyPair(issued.Cert, issued.Key)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca.CAPEM())
	conn, err := tls.Dial("tcp", to.Addr().String(), &tls.Config{
		MinVersion: tls.VersionTLS13, RootCAs: roots, ServerName: identity.ServerName, Certificates: []tls.Certificate{expired},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := writeCall(conn, call{streamVersion, streamVersion, "one", "a", "b"}); err == nil {
		_, err = readAnswer(conn)
		if err == nil || !strings.Contains(err.Error(), "expired") {
			t.Fatalf("caller is told %v", err)
		}
	}
	eventually(t, "the refusal is logged", func() bool { return strings.Contains(to.log.String(), "expired") })
}

func TestBrokenConnectionIsToldOfTheOneWhoOpenedIt(t *testing.T) {
	from, to := mustListen(t, "a", "one", nil), mustListen(t, "b", "one", nil)
	dialed, accepted, err := connect(t, from, to, "b")
	if err != nil {
		t.Fatal(err)
	}
	second, closedHere, err := connect(t, from, to, "b")
	if err != nil {
		t.Fatal(err)
	}
	// What this side closes itself is no news.
	if err := closedHere.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := closedHere.Read(make([]byte, 1)); err == nil {
		t.Fatal("read from a closed connection")
	}
	if _, err := second.Read(make([]byte, 1)); err == nil {
		t.Fatal("read from a closed connection")
	}
	// Nor is what the other side closes of what this side opened.
	if len(from.lostPeers)+len(to.lostPeers) > 0 {
		t.Fatal("told of a connection that was closed on purpose")
	}
	if err := dialed.Close(); err != nil {
		t.Fatal(err)
	}
	for range 2 { // told once, however often it is read
		if _, err := accepted.Read(make([]byte, 1)); err == nil {
			t.Fatal("read from a closed connection")
		}
	}
	if peer := <-to.lostPeers; peer != "a" || len(to.lostPeers) > 0 {
		t.Fatalf("told of %q", peer)
	}
}

func TestClosedLayerCutsItsConnections(t *testing.T) {
	from, to := mustListen(t, "a", "one", nil), mustListen(t, "b", "one", nil)
	dialed, accepted, err := connect(t, from, to, "b")
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(to.Close(), to.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := dialed.Read(make([]byte, 1)); err == nil {
		t.Fatal("connection outlives the layer")
	}
	if _, err := accepted.Read(make([]byte, 1)); err != io.EOF { // Raft compares
		t.Fatalf("read after the end: %v", err)
	}
	if len(to.lostPeers) > 0 {
		t.Fatal("the own end is taken for the other's")
	}
	if _, err := to.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Fatalf("accept: %v", err)
	}
	if _, _, err := connect(t, from, to, "b"); err == nil {
		t.Fatal("connected to a closed layer")
	}
}

func TestClusterOverMutualTLS(t *testing.T) {
	ca := identitytest.NewCA(t)
	server := ca.Identity(t, identity.ServerName)
	c := mustFound(t, 3, func(cfg *Config) { cfg.TLS = server })
	leader := c.mustLead()
	mustWrite(t, leader, "before")
	c.crash(leader)
	next := c.mustLead()
	mustWrite(t, next, "after")
	for _, m := range c.alive() {
		mustHave(t, m, "before", "after")
	}
	if next.Campaigns()[CauseLeaderGone] == 0 {
		t.Errorf("the new leader was not elected by evidence: %v", next.Campaigns())
	}
}
