package lab_test

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/argosy-cluster/argosy/chaos/cluster"
	"github.com/argosy-cluster/argosy/chaos/lab"
)

// A server whose disk refuses some writes or flushes may end or go on. It must not
// think its data damaged, and must have on its disk what it acknowledged
// afterwards.
func TestADiskThatRefusesWritesForAWhileDamagesNothing(t *testing.T) {
	for _, store := range []string{"boltdb", "wal"} {
		for name, how := range map[string]lab.Failure{
			"writes":  {Writes: true, Error: syscall.ENOSPC, After: 1, Times: 2},
			"flushes": {Flushes: true, Error: syscall.EIO, After: 1, Times: 2},
		} {
			t.Run(name+" of "+store, func(t *testing.T) {
				t.Parallel()
				w := mustWorldOn(t, lab.SiteConfig{DiskSize: 64 << 20}, "--log-store", store)
				for _, p := range []*cluster.Process{w.leader(), w.follower()} {
					failing, err := lab.Fail(p.PID(), how)
					if errors.Is(err, lab.ErrUnable) {
						t.Skip(err)
					}
					must(t, err)
					w.goesOn()
					if failing.Mend() == 0 {
						t.Errorf("nothing was refused to %s", p.Name)
					}
					w.catchesUp(p)
				}
				for _, p := range w.cluster.Servers {
					must(t, w.site.PowerOff(p))
				}
				for _, p := range w.cluster.Servers {
					must(t, w.site.PowerOn(p))
					must(t, p.Start())
				}
				w.ends()
				for _, p := range w.cluster.Servers {
					if _, err := os.Stat(filepath.Join(p.DataDir, "quarantine")); !errors.Is(err, os.ErrNotExist) {
						t.Errorf("%s gave its data up: %v", p.Name, err)
					}
				}
			})
		}
	}
}
