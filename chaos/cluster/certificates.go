package cluster

import (
	"crypto/tls"
	"fmt"

	"github.com/argosy-cluster/argosy/membership/identity"
	"github.com/argosy-cluster/argosy/membership/identity/authority"
)

// certificates are those of one cluster, of an authority of its own.
type certificates struct {
	authority *authority.Authority
	dir       string
	users     identity.Files
}

func newCertificates(dir string) (*certificates, error) {
	a, err := authority.New("Argosy test authority")
	if err != nil {
		return nil, fmt.Errorf("make certificates: %w", err)
	}
	users, err := a.WriteFiles(dir, "user", authority.Request{CommonName: "user"})
	if err != nil {
		return nil, fmt.Errorf("make certificates: %w", err)
	}
	return &certificates{authority: a, dir: dir, users: users}, nil
}

func (c *certificates) server(name string) ([]string, error) {
	return c.issue(name, identity.ServerName)
}

func (c *certificates) agent(name string) ([]string, error) { return c.issue(name, name) }

func (c *certificates) issue(name string, dnsNames ...string) ([]string, error) {
	files, err := c.files(name, dnsNames...)
	if err != nil {
		return nil, err
	}
	return fileArgs(files), nil
}

func (c *certificates) files(name string, dnsNames ...string) (identity.Files, error) {
	files, err := c.authority.WriteFiles(c.dir, name, authority.Request{CommonName: name, DNSNames: dnsNames})
	if err != nil {
		return files, fmt.Errorf("make certificate of %s: %w", name, err)
	}
	return files, nil
}

func (c *certificates) user() []string { return fileArgs(c.users) }

func (c *certificates) client() (*tls.Config, error) {
	own, err := identity.Load(c.users)
	if err != nil {
		return nil, err
	}
	return own.ClientTLS(identity.ServerName), nil
}

func fileArgs(files identity.Files) []string {
	return []string{"--ca-pem", files.CA, "--crt-pem", files.Cert, "--key-pem", files.Key}
}
