package identity

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
)

// Files are the paths of the PEM files that make an identity.
type Files struct {
	// CA is the certificate of the authority, or several of them: whom to trust.
	CA string
	// Cert is the process's own certificate, followed by intermediate ones if
	// there are any.
	Cert string
	// Key is the private key of Cert. Nobody but its owner may read it.
	Key string
}

// Empty tells whether no file was named: the process runs without TLS.
func (f Files) Empty() bool { return f == Files{} }

// Validate checks that all files were named or none, that they can be read, that
// nobody else can read the key, and that none of them can be written by everybody
// (those of a group may write certificates). It does not look into them; Load does.
func (f Files) Validate() error {
	if f.Empty() {
		return nil
	}
	if missing := f.missing(); len(missing) > 0 {
		return fmt.Errorf("%w: missing %s; give all three, or none to run without TLS",
			ErrIncomplete, strings.Join(missing, ", "))
	}
	return errors.Join(
		checkFile("CA certificate", f.CA, false),
		checkFile("certificate", f.Cert, false),
		checkFile("private key", f.Key, true))
}

func (f Files) missing() []string {
	var missing []string
	for _, part := range []struct{ path, what string }{
		{f.CA, "CA certificate (--ca-pem)"},
		{f.Cert, "certificate (--crt-pem)"},
		{f.Key, "private key (--key-pem)"},
	} {
		if part.path == "" {
			missing = append(missing, part.what)
		}
	}
	return missing
}

func checkFile(what, path string, secret bool) error {
	file, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("open %s: %w", what, err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return fmt.Errorf("look at %s: %w", what, err)
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("open %s %s: not a regular file", what, path)
	}
	mode := info.Mode().Perm()
	switch {
	case secret && mode != 0o600 && mode != 0o400:
		return fmt.Errorf("%w: %s %s has mode %s, must be 0600 or 0400: run chmod 600 %s",
			ErrPermissions, what, path, octal(mode), path)
	case mode&0o002 != 0:
		return fmt.Errorf("%w: %s %s has mode %s, everybody can write it: run chmod o-w %s",
			ErrPermissions, what, path, octal(mode), path)
	}
	return nil
}

func octal(mode fs.FileMode) string { return fmt.Sprintf("%04o", mode) }
