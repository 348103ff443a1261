package identity

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"slices"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"
)

// Anonymous is the principal of a caller on a connection without TLS.
const Anonymous = "anonymous"

// PeerNames returns the DNS names in the verified certificate of the other side
// of a gRPC call, and false when the connection has no TLS.
func PeerNames(ctx context.Context) (names []string, ok bool) {
	certificate, ok := peerCertificate(ctx)
	if !ok {
		return nil, false
	}
	return Names(certificate), true
}

// PrincipalOf returns who asks on a gRPC call: "cn:" and the common name of the
// verified certificate, or Anonymous when the connection has no TLS. A
// certificate without a common name is told by its first DNS name, or else by
// its serial number.
func PrincipalOf(ctx context.Context) string {
	certificate, ok := peerCertificate(ctx)
	switch {
	case !ok:
		return Anonymous
	case certificate.Subject.CommonName != "":
		return "cn:" + certificate.Subject.CommonName
	case len(certificate.DNSNames) > 0:
		return "dns:" + certificate.DNSNames[0]
	default:
		return fmt.Sprintf("serial:%x", certificate.SerialNumber)
	}
}

// CheckPeerName returns an error that names both when the other side of a TLS
// connection does not carry the name in its verified certificate. A Raft
// listener demands ServerName of its callers with it.
func CheckPeerName(state tls.ConnectionState, name string) error {
	certificate, ok := verified(state)
	if !ok {
		return fmt.Errorf("%w %q: the other side has shown no verified certificate", ErrName, name)
	}
	if !slices.Contains(Names(certificate), name) {
		return fmt.Errorf("%w %q: that of the other side (%s) carries %s",
			ErrName, name, certificate.Subject, list(Names(certificate)))
	}
	return nil
}

func peerCertificate(ctx context.Context) (*x509.Certificate, bool) {
	caller, ok := peer.FromContext(ctx)
	if !ok {
		return nil, false
	}
	info, ok := caller.AuthInfo.(credentials.TLSInfo)
	if !ok {
		return nil, false
	}
	return verified(info.State)
}

// verified returns the leaf of the chain that was verified. What the other side
// merely sent is never looked at.
func verified(state tls.ConnectionState) (*x509.Certificate, bool) {
	if len(state.VerifiedChains) == 0 || len(state.VerifiedChains[0]) == 0 {
		return nil, false
	}
	return state.VerifiedChains[0][0], true
}
