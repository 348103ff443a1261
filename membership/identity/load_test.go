package identity_test

import (
	"crypto/x509"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/argosy-cluster/argosy/membership/identity"
	"github.com/argosy-cluster/argosy/membership/identity/authority"
	"github.com/argosy-cluster/argosy/membership/identity/identitytest"
)

func TestLoadRefusesWhatCouldNotWork(t *testing.T) {
	ca, otherCA := identitytest.NewCA(t), identitytest.NewCA(t)
	good := func(t *testing.T) identity.Files { return ca.Issue(t, "", "agent_A") }

	for _, test := range []struct {
		name  string
		files func(t *testing.T) identity.Files
		want  error
		says  []string
	}{
		{"a missing file name", func(t *testing.T) identity.Files {
			files := good(t)
			files.Key = ""
			return files
		}, identity.ErrIncomplete, []string{"--key-pem", "all three"}},
		{"a file that is not there", func(t *testing.T) identity.Files {
			files := good(t)
			files.CA += ".gone"
			return files
		}, fs.ErrNotExist, []string{"CA certificate", ".gone"}},
		{"a directory", func(t *testing.T) identity.Files {
			files := good(t)
			files.Cert = t.TempDir()
			return files
		}, nil, []string{"not a regular file"}},
		{"a key that others can read", func(t *testing.T) identity.Files {
			files := good(t)
			mustChmod(t, files.Key, 0o644)
			return files
		}, identity.ErrPermissions, []string{"private key", "0644", "chmod 600"}},
		{"a certificate that everybody can write", func(t *testing.T) identity.Files {
			files := good(t)
			mustChmod(t, files.Cert, 0o666)
			return files
		}, identity.ErrPermissions, []string{"certificate", "0666", "chmod o-w"}},
		{"a CA that is not PEM", func(t *testing.T) identity.Files {
			files := good(t)
			mustWrite(t, files.CA, "hello")
			return files
		}, identity.ErrMaterial, []string{"CA certificate", "ca.pem", "CERTIFICATE"}},
		{"a certificate that is not one", func(t *testing.T) identity.Files {
			files := good(t)
			mustWrite(t, files.Cert, "-----BEGIN CERTIFICATE-----\naGVsbG8=\n-----END CERTIFICATE-----\n")
			return files
		}, identity.ErrMaterial, []string{"parse certificate 1"}},
		{"a certificate in place of the key", func(t *testing.T) identity.Files {
			files := good(t)
			mustWrite(t, files.Key, mustRead(t, files.Cert))
			return files
		}, identity.ErrMaterial, []string{"private key", "PRIVATE KEY"}},
		{"a key with a passphrase", func(t *testing.T) identity.Files {
			files := good(t)
			mustWrite(t, files.Key, "-----BEGIN ENCRYPTED PRIVATE KEY-----\naGVsbG8=\n-----END ENCRYPTED PRIVATE KEY-----\n")
			return files
		}, identity.ErrMaterial, []string{"passphrase"}},
		{"the key of another certificate", func(t *testing.T) identity.Files {
			files := good(t)
			files.Key = good(t).Key
			return files
		}, identity.ErrMismatch, []string{"agent_A", "-key.pem"}},
		{"a certificate of another CA", func(t *testing.T) identity.Files {
			files := good(t)
			files.CA = otherCA.Issue(t, "", "x").CA
			return files
		}, identity.ErrUntrusted, []string{"agent_A", "CA of", "ca.pem"}},
		{"an expired certificate", func(t *testing.T) identity.Files {
			return ca.IssueRequest(t, "", authority.Request{
				CommonName: "old", NotBefore: time.Now().Add(-time.Hour), TTL: -time.Minute,
			})
		}, identity.ErrExpired, []string{"CN=old", "was valid from", "issue a new one"}},
		{"a certificate of the future", func(t *testing.T) identity.Files {
			return ca.IssueRequest(t, "", authority.Request{
				CommonName: "young", NotBefore: time.Now().Add(time.Hour),
			})
		}, identity.ErrNotYetValid, []string{"CN=young", "is valid from", "clock"}},
		{"a certificate for servers alone", func(t *testing.T) identity.Files {
			return ca.IssueRequest(t, "", authority.Request{
				CommonName: "s", Usages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
			})
		}, identity.ErrUsage, []string{"clientAuth"}},
		{"no files at all", func(*testing.T) identity.Files { return identity.Files{} },
			identity.ErrIncomplete, []string{"no file"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := identity.Load(test.files(t))
			if err == nil {
				t.Fatal("it was loaded")
			}
			if test.want != nil && !errors.Is(err, test.want) {
				t.Errorf("the error is not %q: %v", test.want, err)
			}
			for _, text := range test.says {
				if !strings.Contains(err.Error(), text) {
					t.Errorf("the error does not say %q: %v", text, err)
				}
			}
		})
	}
}

func TestLoadTakesWhatWorks(t *testing.T) {
	ca := identitytest.NewCA(t)
	t.Run("a read-only key", func(t *testing.T) {
		files := ca.Issue(t, "", "agent_A")
		mustChmod(t, files.Key, 0o400)
		mustLoad(t, files)
	})
	t.Run("a certificate for clients alone", func(t *testing.T) {
		mustLoad(t, ca.IssueRequest(t, "", authority.Request{
			CommonName: "user", Usages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		}))
	})
	t.Run("several authorities in one file", func(t *testing.T) {
		files := ca.Issue(t, "", "agent_A")
		other := identitytest.NewCA(t)
		mustWrite(t, files.CA, string(other.CAPEM())+mustRead(t, files.CA))
		mustLoad(t, files)
	})
}

func TestFilesAreAllOrNone(t *testing.T) {
	if err := (identity.Files{}).Validate(); err != nil {
		t.Errorf("no files are refused: %v", err)
	}
	if !(identity.Files{}).Empty() || (identity.Files{Key: "k"}).Empty() {
		t.Error("Empty is wrong")
	}
	err := identity.Files{Cert: "c"}.Validate()
	if !errors.Is(err, identity.ErrIncomplete) || !strings.Contains(err.Error(), "--ca-pem") ||
		!strings.Contains(err.Error(), "--key-pem") || strings.Contains(err.Error(), "--crt-pem") {
		t.Errorf("want the missing files named, got %v", err)
	}
}

func TestACertificateIsCheckedForItsRole(t *testing.T) {
	ca := identitytest.NewCA(t)
	if err := ca.Identity(t, "host1", identity.ServerName).CheckServer(); err != nil {
		t.Errorf("a server's certificate is refused: %v", err)
	}
	if err := ca.Identity(t, "agent_A").CheckAgent("agent_A"); err != nil {
		t.Errorf("an agent's certificate is refused: %v", err)
	}
	for name, err := range map[string]error{
		"an agent as server":    ca.Identity(t, "agent_A").CheckServer(),
		"a wildcard as server":  ca.Identity(t, "*").CheckServer(),
		"a nameless as server":  ca.Identity(t).CheckServer(),
		"an agent as another":   ca.Identity(t, "agent_A").CheckAgent("agent_B"),
		"a wildcard as agent":   ca.Identity(t, "*").CheckAgent("agent_B"),
		"an agent in small":     ca.Identity(t, "agent_A").CheckAgent("agent_a"),
		"a server as the agent": ca.Identity(t, identity.ServerName).CheckAgent("agent_A"),
	} {
		if !errors.Is(err, identity.ErrName) {
			t.Errorf("%s: want ErrName, got %v", name, err)
		}
	}
	clientOnly := mustLoad(t, ca.IssueRequest(t, "", authority.Request{
		DNSNames: []string{identity.ServerName}, Usages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}))
	if err := clientOnly.CheckServer(); !errors.Is(err, identity.ErrUsage) || !strings.Contains(err.Error(), "serverAuth") {
		t.Errorf("a client's certificate as server: want ErrUsage, got %v", err)
	}
}

func TestBindIsRefusedWithoutTLSUnlessInsecure(t *testing.T) {
	for _, address := range []string{
		"127.0.0.1:25551", "127.1.2.3:0", "localhost:25551", "LocalHost:1", "[::1]:25551", "::1", "127.0.0.1",
		"[::ffff:127.0.0.1]:1",
	} {
		if err := identity.CheckBind(address, false, false); err != nil {
			t.Errorf("%s is refused: %v", address, err)
		}
	}
	for _, address := range []string{
		"0.0.0.0:25551", ":25551", "[::]:25551", "10.0.0.1:25551", "example.org:25551", "192.168.1.1", "localhost.example.org:1",
	} {
		err := identity.CheckBind(address, false, false)
		if !errors.Is(err, identity.ErrInsecureBind) || !strings.Contains(err.Error(), address) ||
			!strings.Contains(err.Error(), "--insecure") {
			t.Errorf("%s: want a refusal that says what to do, got %v", address, err)
		}
		if err := identity.CheckBind(address, true, false); err != nil {
			t.Errorf("%s is refused with TLS: %v", address, err)
		}
		if err := identity.CheckBind(address, false, true); err != nil {
			t.Errorf("%s is refused with insecure: %v", address, err)
		}
	}
}

func TestAuthorityWritesKeysForTheirOwnerAlone(t *testing.T) {
	ca := identitytest.NewCA(t)
	dir := filepath.Join(t.TempDir(), "deep", "certs")
	for range 2 { // the second time replaces the files
		files, err := ca.WriteFiles(dir, "node", authority.Request{CommonName: "node"})
		if err != nil {
			t.Fatal(err)
		}
		mustLoad(t, files)
		info, err := os.Stat(files.Key)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("the key has mode %o", info.Mode().Perm())
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 3 {
		t.Errorf("want 3 files, got %v", entries)
	}
	if _, err := ca.WriteFiles(dir, "x", authority.Request{NotBefore: time.Now(), TTL: -time.Hour}); err == nil {
		t.Error("a certificate that ends before it begins was issued")
	}
}

func mustLoad(t *testing.T, files identity.Files) *identity.Identity {
	t.Helper()
	loaded, err := identity.Load(files)
	if err != nil {
		t.Fatalf("load identity: %v", err)
	}
	return loaded
}

func mustChmod(t *testing.T, path string, mode os.FileMode) {
	t.Helper()
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

func mustWrite(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func mustRead(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
