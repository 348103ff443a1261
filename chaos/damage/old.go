package damage

import (
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
)

// Age is what may be put back as it was.
type Age struct {
	name string
	// Silent is set when a server cannot know by itself that it has forgotten
	// something: no quorum survives that while anything else is wrong. The others it
	// notices, or they are no harm.
	Silent bool
}

// logOfRaft stands for the store of the log, whichever it is.
const logOfRaft = "log"

var ages = []Age{
	{".", true},
	{"raft/stable", true},
	{logOfRaft, false},
	{"raft/high-water", false},
	{"servers", false},
}

// SomeAge picks one.
func SomeAge(chance *rand.Rand) Age { return ages[chance.IntN(len(ages))] }

// In is the name of what is put back in a data directory.
func (a Age) In(dir string) string {
	if a.name != logOfRaft {
		return a.name
	}
	const bolt = "raft/raft.db"
	if _, err := os.Stat(filepath.Join(dir, bolt)); errors.Is(err, fs.ErrNotExist) {
		return "raft/wal"
	}
	return bolt
}

// PutBack puts what a copy of the directory has in the place of what is there.
func (a Age) PutBack(dir, old string) error {
	name := a.In(dir)
	if name == "." {
		return errors.Join(Empty(dir), os.CopyFS(dir, os.DirFS(old)))
	}
	return replace(filepath.Join(dir, name), filepath.Join(old, name))
}

// replace puts a copy of a file or directory in the place of another.
func replace(path, by string) error {
	info, err := os.Stat(by)
	if err != nil {
		return err
	}
	if err := os.RemoveAll(path); err != nil {
		return err
	}
	if info.IsDir() {
		return os.CopyFS(path, os.DirFS(by))
	}
	content, err := os.ReadFile(by)
	if err != nil {
		return err
	}
	return os.WriteFile(path, content, 0o600)
}
