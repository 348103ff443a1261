package identity

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
)

// ServerName is the DNS name that every server's certificate carries, whatever
// host it runs on.
const ServerName = "argosy-server"

// Identity is loaded and verified TLS material. It may be used by several
// goroutines.
type Identity struct {
	files       Files
	roots       *x509.CertPool
	certificate atomic.Pointer[tls.Certificate]
}

// Certificate returns the process's own certificate.
func (i *Identity) Certificate() *x509.Certificate { return i.certificate.Load().Leaf }

// CheckServer verifies that the certificate is one that a server can serve
// with: it carries ServerName and may be used by a server. Without this check
// a wrong file would only be noticed by everybody else.
func (i *Identity) CheckServer() error {
	leaf := i.Certificate()
	if err := checkUsage(i.files.Cert, leaf, x509.ExtKeyUsageServerAuth, "serverAuth"); err != nil {
		return err
	}
	if !slices.Contains(Names(leaf), ServerName) {
		return fmt.Errorf("%w: %s (%s) must carry the DNS name %q to be a server's, it carries %s",
			ErrName, i.files.Cert, leaf.Subject, ServerName, list(Names(leaf)))
	}
	return nil
}

// CheckAgent verifies that the certificate is one that the agent of this name
// can use.
func (i *Identity) CheckAgent(name string) error {
	leaf := i.Certificate()
	if !slices.Contains(Names(leaf), name) {
		return fmt.Errorf("%w: %s (%s) must carry the DNS name %q to be that agent's, it carries %s",
			ErrName, i.files.Cert, leaf.Subject, name, list(Names(leaf)))
	}
	return nil
}

// ServerTLS returns the configuration of a listener: TLS 1.3, and every caller
// must show a certificate of the authority.
func (i *Identity) ServerTLS() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		ClientAuth: tls.RequireAndVerifyClientCert,
		ClientCAs:  i.roots,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			return i.certificate.Load(), nil
		},
		// A resumed session would carry on an identity that was replaced since.
		SessionTicketsDisabled: true,
	}
}

// ClientTLS returns the configuration for a connection to a holder of the DNS
// name serverName, ServerName when it is empty.
func (i *Identity) ClientTLS(serverName string) *tls.Config {
	if serverName == "" {
		serverName = ServerName
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		RootCAs:    i.roots,
		ServerName: serverName,
		// The certificate is sent whatever authorities the other side asks for:
		// it then says "unknown authority", not "no certificate".
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			return i.certificate.Load(), nil
		},
	}
}

// Names returns the DNS names that a certificate carries.
func Names(certificate *x509.Certificate) []string { return certificate.DNSNames }

func list(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}
