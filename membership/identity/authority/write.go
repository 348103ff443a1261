package authority

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/argosy-cluster/argosy/membership/identity"
)

// WriteFiles issues a certificate and writes what its holder needs into dir:
// ca.pem, NAME.pem and NAME-key.pem, the key readable by its owner alone. The
// directory is made when it is missing.
func (a *Authority) WriteFiles(dir, name string, request Request) (identity.Files, error) {
	issued, err := a.Issue(request)
	if err != nil {
		return identity.Files{}, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return identity.Files{}, fmt.Errorf("make directory for certificates: %w", err)
	}
	files := identity.Files{
		CA:   filepath.Join(dir, "ca.pem"),
		Cert: filepath.Join(dir, name+".pem"),
		Key:  filepath.Join(dir, name+"-key.pem"),
	}
	for _, part := range []struct {
		path string
		data []byte
		mode os.FileMode
	}{
		{files.CA, a.pem, 0o644},
		{files.Cert, issued.Cert, 0o644},
		{files.Key, issued.Key, 0o600},
	} {
		if err := writeFile(part.path, part.data, part.mode); err != nil {
			return identity.Files{}, fmt.Errorf("write %s: %w", part.path, err)
		}
	}
	return files, nil
}

// writeFile replaces a file in one step, whatever mode the old one had: a
// reader sees the old or the new one, and a key is never readable by others.
func writeFile(path string, data []byte, mode os.FileMode) error {
	temporary, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(temporary.Name())
	if err := temporary.Chmod(mode); err != nil {
		temporary.Close()
		return err
	}
	if _, err := temporary.Write(data); err != nil {
		temporary.Close()
		return err
	}
	if err := temporary.Close(); err != nil {
		return err
	}
	return os.Rename(temporary.Name(), path)
}
