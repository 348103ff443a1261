package identity_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"

	"github.com/argosy-cluster/argosy/membership/identity"
	"github.com/argosy-cluster/argosy/membership/identity/authority"
	"github.com/argosy-cluster/argosy/membership/identity/identitytest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// whoami answers every health check and notes who asked.
type whoami struct {
	grpc_health_v1.UnimplementedHealthServer
	calls chan caller
}

type caller struct {
	principal string
	names     []string
	tls       bool
}

func (w *whoami) Check(ctx context.Context, _ *grpc_health_v1.HealthCheckRequest) (*grpc_health_v1.HealthCheckResponse, error) {
	names, ok := identity.PeerNames(ctx)
	w.calls <- caller{identity.PrincipalOf(ctx), names, ok}
	return &grpc_health_v1.HealthCheckResponse{}, nil
}

func serve(t *testing.T, options ...grpc.ServerOption) (string, <-chan caller) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	service := &whoami{calls: make(chan caller, 1)}
	server := grpc.NewServer(options...)
	grpc_health_v1.RegisterHealthServer(server, service)
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	t.Cleanup(func() {
		server.Stop()
		if err := <-done; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return listener.Addr().String(), service.calls
}

func call(t *testing.T, address string, transport credentials.TransportCredentials) error {
	t.Helper()
	conn, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(transport))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	_, err = grpc_health_v1.NewHealthClient(conn).Check(ctx, &grpc_health_v1.HealthCheckRequest{})
	return err
}

// raw makes credentials out of files without any of the checks of Load, as
// somebody would who means no good.
func raw(t *testing.T, files identity.Files, change func(*tls.Config)) credentials.TransportCredentials {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(mustRead(t, files.CA)))
	config := &tls.Config{RootCAs: roots, ServerName: identity.ServerName}
	if files.Cert != "" {
		pair, err := tls.LoadX509KeyPair(files.Cert, files.Key)
		if err != nil {
			t.Fatal(err)
		}
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
	}
	if change != nil {
		change(config)
	}
	return credentials.NewTLS(config)
}

// refusals are credentials that note why a handshake failed. The caller often
// only sees a broken connection: its part of the handshake was over.
type refusals struct {
	credentials.TransportCredentials
	reasons chan error
}

func (r refusals) ServerHandshake(conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	secured, info, err := r.TransportCredentials.ServerHandshake(conn)
	if err != nil {
		select {
		case r.reasons <- err:
		default:
		}
	}
	return secured, info, err
}

func TestAServerAnswersOnlyCallersOfItsAuthority(t *testing.T) {
	ca, otherCA := identitytest.NewCA(t), identitytest.NewCA(t)
	own := ca.Identity(t, "host1", identity.ServerName)

	good := ca.Issue(t, "", "agent_A")
	for _, test := range []struct {
		name   string
		caller credentials.TransportCredentials
		says   string
	}{
		{"no certificate", raw(t, identity.Files{CA: good.CA}, nil), "didn't provide a certificate"},
		{"another CA", func() credentials.TransportCredentials {
			files := otherCA.Issue(t, "", "agent_A")
			files.CA = good.CA
			return raw(t, files, nil)
		}(), "unknown authority"},
		{"an expired certificate", raw(t, ca.IssueRequest(t, "", authority.Request{
			NotBefore: time.Now().Add(-time.Hour), TTL: -time.Minute}), nil), "expired"},
		{"a certificate of the future", raw(t, ca.IssueRequest(t, "", authority.Request{
			NotBefore: time.Now().Add(time.Hour)}), nil), "not yet valid"},
		{"a certificate for servers alone", raw(t, ca.IssueRequest(t, "", authority.Request{
			Usages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}), nil), "usage"},
		{"TLS 1.2", raw(t, good, func(config *tls.Config) { config.MaxVersion = tls.VersionTLS12 }), "unsupported versions"},
		{"plaintext", insecure.NewCredentials(), "does not look like a TLS handshake"},
	} {
		t.Run(test.name, func(t *testing.T) {
			reasons := make(chan error, 1)
			address, calls := serve(t, grpc.Creds(refusals{credentials.NewTLS(own.ServerTLS()), reasons}))
			if err := call(t, address, test.caller); err == nil {
				t.Fatal("it was answered")
			}
			if reason := <-reasons; !strings.Contains(reason.Error(), test.says) {
				t.Errorf("the server's reason does not say %q: %v", test.says, reason)
			}
			select {
			case <-calls:
				t.Error("the call reached its handler")
			default:
			}
		})
	}

	t.Run("a good one", func(t *testing.T) {
		address, calls := serve(t, grpc.Creds(credentials.NewTLS(own.ServerTLS())))
		if err := call(t, address, credentials.NewTLS(mustLoad(t, good).ClientTLS(""))); err != nil {
			t.Fatal(err)
		}
		got := <-calls
		if got.principal != "cn:agent_A" || !got.tls || !slices.Equal(got.names, []string{"agent_A"}) {
			t.Errorf("the server takes the caller for %+v", got)
		}
	})
}

func TestAClientTrustsOnlyServersOfItsAuthority(t *testing.T) {
	ca, otherCA := identitytest.NewCA(t), identitytest.NewCA(t)
	client := credentials.NewTLS(ca.Identity(t, "user").ClientTLS(""))

	serverTLS := func(t *testing.T, files identity.Files, version uint16) grpc.ServerOption {
		pair, err := tls.LoadX509KeyPair(files.Cert, files.Key)
		if err != nil {
			t.Fatal(err)
		}
		return grpc.Creds(credentials.NewTLS(&tls.Config{Certificates: []tls.Certificate{pair}, MaxVersion: version}))
	}
	for _, test := range []struct {
		name  string
		files identity.Files
		says  string
	}{
		{"another CA", otherCA.Issue(t, "", identity.ServerName), "unknown authority"},
		{"the wrong name", ca.Issue(t, "", "agent_A"), "agent_A"},
		{"a wildcard for a name", ca.Issue(t, "", "*"), "valid for *"},
		{"an expired certificate", ca.IssueRequest(t, "", authority.Request{
			DNSNames: []string{identity.ServerName}, NotBefore: time.Now().Add(-time.Hour), TTL: -time.Minute}), "expired"},
		{"a certificate of the future", ca.IssueRequest(t, "", authority.Request{
			DNSNames: []string{identity.ServerName}, NotBefore: time.Now().Add(time.Hour)}), "not yet valid"},
		{"a certificate for clients alone", ca.IssueRequest(t, "", authority.Request{
			DNSNames: []string{identity.ServerName}, Usages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}), "usage"},
	} {
		t.Run(test.name, func(t *testing.T) {
			address, _ := serve(t, serverTLS(t, test.files, tls.VersionTLS13))
			err := call(t, address, client)
			if err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("want an error that says %q, got %v", test.says, err)
			}
		})
	}
	t.Run("TLS 1.2", func(t *testing.T) {
		address, _ := serve(t, serverTLS(t, ca.Issue(t, "", identity.ServerName), tls.VersionTLS12))
		if err := call(t, address, client); err == nil {
			t.Error("a server of TLS 1.2 was trusted")
		}
	})
	t.Run("plaintext", func(t *testing.T) {
		address, _ := serve(t)
		if err := call(t, address, client); err == nil {
			t.Error("a server without TLS was trusted")
		}
	})
}

func TestPrincipals(t *testing.T) {
	ca := identitytest.NewCA(t)
	address, calls := serve(t, grpc.Creds(credentials.NewTLS(ca.Identity(t, identity.ServerName).ServerTLS())))
	for _, test := range []struct {
		request authority.Request
		want    string
	}{
		{authority.Request{CommonName: "Ada Lovelace", DNSNames: []string{"x"}}, "cn:Ada Lovelace"},
		{authority.Request{DNSNames: []string{"agent_A", "x"}}, "dns:agent_A"},
		{authority.Request{}, "serial:"},
	} {
		if err := call(t, address, credentials.NewTLS(mustLoad(t, ca.IssueRequest(t, "", test.request)).ClientTLS(""))); err != nil {
			t.Fatal(err)
		}
		if got := (<-calls).principal; !strings.HasPrefix(got, test.want) {
			t.Errorf("want %s, got %s", test.want, got)
		}
	}

	plain, plainCalls := serve(t)
	if err := call(t, plain, insecure.NewCredentials()); err != nil {
		t.Fatal(err)
	}
	if got := <-plainCalls; got.principal != identity.Anonymous || got.tls {
		t.Errorf("without TLS the caller is %+v", got)
	}
	if got := identity.PrincipalOf(context.Background()); got != identity.Anonymous {
		t.Errorf("outside of a call the principal is %q", got)
	}
}

func TestAListenerCanDemandANameOfItsCallers(t *testing.T) {
	ca := identitytest.NewCA(t)
	listener, err := tls.Listen("tcp", "127.0.0.1:0", ca.Identity(t, identity.ServerName).ServerTLS())
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	for _, test := range []struct {
		client *identity.Identity
		want   error
	}{
		{ca.Identity(t, "host2", identity.ServerName), nil},
		{ca.Identity(t, "agent_A"), identity.ErrName},
		{ca.Identity(t, "*"), identity.ErrName},
	} {
		dialed := make(chan error, 1)
		go func() {
			conn, err := tls.Dial("tcp", listener.Addr().String(), test.client.ClientTLS(""))
			if err == nil {
				conn.Close()
			}
			dialed <- err
		}()
		conn, err := listener.Accept()
		if err != nil {
			t.Fatal(err)
		}
		secured := conn.(*tls.Conn)
		if err := secured.Handshake(); err != nil {
			t.Fatal(err)
		}
		if err := identity.CheckPeerName(secured.ConnectionState(), identity.ServerName); !errors.Is(err, test.want) {
			t.Errorf("%v: want %v, got %v", test.client.Certificate().DNSNames, test.want, err)
		}
		conn.Close()
		if err := <-dialed; err != nil {
			t.Fatal(err)
		}
	}
	if err := identity.CheckPeerName(tls.ConnectionState{}, "x"); !errors.Is(err, identity.ErrName) {
		t.Errorf("without a certificate: want ErrName, got %v", err)
	}
}
