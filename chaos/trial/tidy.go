package trial

import (
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/argosy-cluster/argosy/chaos/history"
)

// dataDir is where the data directories of a trial are kept that did not hold,
// below its own.
const dataDir = "data"

// longLog is how large a log may be that is kept as it is.
const longLog = 5 << 20

// end takes the stage down. It keeps everything that was on it, or only what is
// needed to judge again and to report.
func (t *trial) end(keep bool) error {
	var errs []error
	if t.stage != nil {
		if keep {
			errs = append(errs, t.save())
		}
		errs = append(errs, t.stage.close())
	}
	if !keep {
		errs = append(errs,
			os.RemoveAll(filepath.Join(t.config.Dir, machinesDir)), os.RemoveAll(filepath.Join(t.config.Dir, "certs")),
			compressLogs(filepath.Join(t.config.Dir, history.LogDir)))
	}
	return errors.Join(errs...)
}

// save copies what is on the servers' disks, which are gone with the stage. What
// the agents had is in the directory already.
func (t *trial) save() error {
	var errs []error
	for _, p := range t.stage.cluster.Servers {
		err := os.CopyFS(filepath.Join(t.config.Dir, dataDir, p.Name), os.DirFS(t.stage.site.Data(p)))
		if err != nil {
			errs = append(errs, fmt.Errorf("keep the data of %s: %w", p.Name, err))
		}
	}
	return errors.Join(errs...)
}

// compressLogs compresses what is too long to be kept as it is.
func compressLogs(dir string) error {
	return filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		info, err := entry.Info()
		if err != nil || info.Size() <= longLog || filepath.Ext(path) == ".gz" {
			return err
		}
		return compress(path)
	})
}

func compress(path string) (err error) {
	from, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("compress log: %w", err)
	}
	defer func() { _ = from.Close() }()
	to, err := os.Create(path + ".gz")
	if err != nil {
		return fmt.Errorf("compress log: %w", err)
	}
	packer := gzip.NewWriter(to)
	_, err = io.Copy(packer, from)
	if err := errors.Join(err, packer.Close(), to.Close()); err != nil {
		return fmt.Errorf("compress log: %w", errors.Join(err, os.Remove(to.Name())))
	}
	return os.Remove(path)
}
