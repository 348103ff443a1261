package identity

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"
)

// Load reads and verifies the files: besides what Files.Validate checks, that
// the key is the certificate's, that the certificate is valid now, that the CA
// has signed it, and that it may be used by a client, which every process of a
// cluster is. A process that serves calls CheckServer as well.
func Load(files Files) (*Identity, error) { return loadAt(files, time.Now()) }

func loadAt(files Files, now time.Time) (*Identity, error) {
	if files.Empty() {
		return nil, fmt.Errorf("%w: no file was named", ErrIncomplete)
	}
	if err := files.Validate(); err != nil {
		return nil, err
	}
	roots, err := loadRoots(files.CA)
	if err != nil {
		return nil, err
	}
	certificate, err := loadPair(files)
	if err != nil {
		return nil, err
	}
	if err := verifyOwn(files, certificate, roots, now); err != nil {
		return nil, err
	}
	identity := &Identity{files: files, roots: roots}
	identity.certificate.Store(certificate)
	return identity, nil
}

func loadRoots(path string) (*x509.CertPool, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read CA certificate: %w", err)
	}
	certificates, err := parseCertificates(data)
	if err != nil {
		return nil, fmt.Errorf("%w: CA certificate %s: %w", ErrMaterial, path, err)
	}
	roots := x509.NewCertPool()
	for _, certificate := range certificates {
		roots.AddCert(certificate)
	}
	return roots, nil
}

func loadPair(files Files) (*tls.Certificate, error) {
	certPEM, err := os.ReadFile(files.Cert)
	if err != nil {
		return nil, fmt.Errorf("read certificate: %w", err)
	}
	keyPEM, err := os.ReadFile(files.Key)
	if err != nil {
		return nil, fmt.Errorf("read private key: %w", err)
	}
	// Both are looked at alone first, so that an error names the file at fault.
	if _, err := parseCertificates(certPEM); err != nil {
		return nil, fmt.Errorf("%w: certificate %s: %w", ErrMaterial, files.Cert, err)
	}
	if err := checkKeyBlock(keyPEM); err != nil {
		return nil, fmt.Errorf("%w: private key %s: %w", ErrMaterial, files.Key, err)
	}
	certificate, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return nil, fmt.Errorf("%w: certificate %s, private key %s: %w", ErrMismatch, files.Cert, files.Key, err)
	}
	return &certificate, nil
}

func parseCertificates(data []byte) ([]*x509.Certificate, error) {
	var certificates []*x509.Certificate
	for {
		var block *pem.Block
		if block, data = pem.Decode(data); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("parse certificate %d: %w", len(certificates)+1, err)
		}
		certificates = append(certificates, certificate)
	}
	if len(certificates) == 0 {
		return nil, errors.New(`holds no PEM block "CERTIFICATE"`)
	}
	return certificates, nil
}

func checkKeyBlock(data []byte) error {
	for {
		var block *pem.Block
		if block, data = pem.Decode(data); block == nil {
			return errors.New(`holds no PEM block "PRIVATE KEY"`)
		}
		if block.Type == "ENCRYPTED PRIVATE KEY" || block.Headers["DEK-Info"] != "" {
			return errors.New("is encrypted with a passphrase: decrypt it first")
		}
		if strings.HasSuffix(block.Type, "PRIVATE KEY") {
			return nil
		}
	}
}

func verifyOwn(files Files, certificate *tls.Certificate, roots *x509.CertPool, now time.Time) error {
	leaf := certificate.Leaf
	if now.Before(leaf.NotBefore) {
		return fmt.Errorf("%w: %s (%s) is valid from %s to %s, it is %s now: check the clock or issue a new one",
			ErrNotYetValid, files.Cert, leaf.Subject, date(leaf.NotBefore), date(leaf.NotAfter), date(now))
	}
	if now.After(leaf.NotAfter) {
		return fmt.Errorf("%w: %s (%s) was valid from %s to %s, it is %s now: issue a new one",
			ErrExpired, files.Cert, leaf.Subject, date(leaf.NotBefore), date(leaf.NotAfter), date(now))
	}
	intermediates := x509.NewCertPool()
	for _, der := range certificate.Certificate[1:] {
		if parsed, err := x509.ParseCertificate(der); err == nil {
			intermediates.AddCert(parsed)
		}
	}
	if _, err := leaf.Verify(x509.VerifyOptions{
		Roots:         roots,
		Intermediates: intermediates,
		CurrentTime:   now,
		KeyUsages:     []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	}); err != nil {
		return fmt.Errorf("%w: certificate %s (%s, issued by %s), CA %s: %w",
			ErrUntrusted, files.Cert, leaf.Subject, leaf.Issuer, files.CA, err)
	}
	return checkUsage(files.Cert, leaf, x509.ExtKeyUsageClientAuth, "clientAuth")
}

// checkUsage returns an error when the certificate names its uses and this is
// not one of them. A certificate that names none may be used for all.
func checkUsage(path string, leaf *x509.Certificate, usage x509.ExtKeyUsage, name string) error {
	if len(leaf.ExtKeyUsage) == 0 && len(leaf.UnknownExtKeyUsage) == 0 {
		return nil
	}
	if slices.Contains(leaf.ExtKeyUsage, usage) || slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageAny) {
		return nil
	}
	return fmt.Errorf("%w: %s (%s) lacks the extended key usage %s: issue it with serverAuth and clientAuth",
		ErrUsage, path, leaf.Subject, name)
}

func date(t time.Time) string { return t.UTC().Format(time.RFC3339) }
