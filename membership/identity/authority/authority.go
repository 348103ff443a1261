// Package authority issues certificates for a cluster: a certificate authority
// that lives in memory, for demonstrations, tests and clusters on one machine.
//
// The invariant it protects: the private key of the authority never leaves the
// process. What it has issued stays valid when the process ends, but nobody can
// issue more; a real cluster brings certificates of its own authority.
package authority

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"slices"
	"time"
)

const (
	// DefaultTTL is how long a certificate is valid when the request does not
	// say so.
	DefaultTTL = 365 * 24 * time.Hour
	// skew is how far back certificates are valid, for machines whose clock is
	// behind the one that issues.
	skew = time.Hour
)

// Authority is a certificate authority in memory. It may be used by several
// goroutines.
type Authority struct {
	certificate *x509.Certificate
	key         crypto.Signer
	pem         []byte
}

// Request says what a certificate is to hold.
type Request struct {
	// CommonName is who the holder is to people and in audit logs.
	CommonName string
	// DNSNames are the names that the holder may use: identity.ServerName for a
	// server, its own name for an agent.
	DNSNames []string
	// IPs are the addresses the holder may serve at. Argosy needs none.
	IPs []net.IP
	// NotBefore is when it becomes valid; an hour ago when zero.
	NotBefore time.Time
	// TTL is how long from now it stays valid; DefaultTTL when zero, in the past
	// when negative.
	TTL time.Duration
	// Usages are what it may be used for; by servers and clients when empty.
	Usages []x509.ExtKeyUsage
}

// Issued is a certificate and its private key, both PEM.
type Issued struct {
	Cert []byte
	Key  []byte
}

// New makes an authority with a key of its own.
func New(name string) (*Authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make key of authority: %w", err)
	}
	serial, err := serialNumber()
	if err != nil {
		return nil, err
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: name, Organization: []string{"Argosy"}},
		NotBefore:             now.Add(-2 * skew),
		NotAfter:              now.Add(10 * DefaultTTL),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("sign certificate of authority: %w", err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("parse certificate of authority: %w", err)
	}
	return &Authority{certificate: certificate, key: key, pem: encode("CERTIFICATE", der)}, nil
}

// CAPEM returns the authority's own certificate.
func (a *Authority) CAPEM() []byte { return slices.Clone(a.pem) }

// Issue makes a key and signs a certificate for it.
func (a *Authority) Issue(request Request) (Issued, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Issued{}, fmt.Errorf("make key for %s: %w", request.CommonName, err)
	}
	template, err := request.template(time.Now())
	if err != nil {
		return Issued{}, err
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, key.Public(), a.key)
	if err != nil {
		return Issued{}, fmt.Errorf("sign certificate for %s: %w", request.CommonName, err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return Issued{}, fmt.Errorf("encode key for %s: %w", request.CommonName, err)
	}
	return Issued{Cert: encode("CERTIFICATE", der), Key: encode("PRIVATE KEY", keyDER)}, nil
}

func (r Request) template(now time.Time) (*x509.Certificate, error) {
	serial, err := serialNumber()
	if err != nil {
		return nil, err
	}
	ttl := r.TTL
	if ttl == 0 {
		ttl = DefaultTTL
	}
	notBefore, notAfter := r.NotBefore, now.Add(ttl)
	if notBefore.IsZero() {
		notBefore = now.Add(-skew)
	}
	if notAfter.Before(notBefore) {
		return nil, fmt.Errorf("issue certificate for %s: its end %s is before its begin %s",
			r.CommonName, notAfter.Format(time.RFC3339), notBefore.Format(time.RFC3339))
	}
	usages := r.Usages
	if len(usages) == 0 {
		usages = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	}
	return &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: r.CommonName},
		DNSNames:              r.DNSNames,
		IPAddresses:           r.IPs,
		NotBefore:             notBefore,
		NotAfter:              notAfter,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           usages,
		BasicConstraintsValid: true,
	}, nil
}

func serialNumber() (*big.Int, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, fmt.Errorf("draw serial number: %w", err)
	}
	return serial, nil
}

func encode(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}
