package backup_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/argosy-cluster/argosy/fsm"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
	"github.com/argosy-cluster/argosy/server/backup"
)

// schedule is a scheduler that runs in a test's bubble of time.
type schedule struct {
	*backup.Scheduler
	t       *testing.T
	dir     string
	machine *fsm.Machine
	next    uint64
}

func mustSchedule(t *testing.T, dir string, machine *fsm.Machine, change func(*backup.ScheduleConfig)) *schedule {
	t.Helper()
	cfg := backup.DefaultScheduleConfig()
	cfg.Dir, cfg.Keep = dir, 3
	if change != nil {
		change(&cfg)
	}
	s, err := backup.NewScheduler(backup.SchedulerDeps{
		State: machine,
		Meta: func() backup.Meta {
			return backup.Meta{ClusterID: clusterID, ClusterName: "my fleet/1", Version: "v1.2.3"}
		},
	}, cfg)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = s.Run(t.Context())
	}()
	t.Cleanup(func() { <-ended })
	synctest.Wait()
	return &schedule{Scheduler: s, t: t, dir: dir, machine: machine, next: 1000}
}

func (s *schedule) change() {
	s.t.Helper()
	s.next++
	mustApply(s.t, s.machine, s.next, putWorkload("w00001", time.Now().String()))
}

func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// files returns the names of the backups that are there, and fails for any that
// is not whole.
func (s *schedule) files() []string {
	s.t.Helper()
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		s.t.Fatal(err)
	}
	var names []string
	for _, entry := range entries {
		if !strings.HasPrefix(entry.Name(), "my_fleet_1-") {
			continue
		}
		file, err := os.Open(filepath.Join(s.dir, entry.Name()))
		if err != nil {
			s.t.Fatal(err)
		}
		if _, err := backup.Inspect(file); err != nil {
			s.t.Errorf("%s: %v", entry.Name(), err)
		}
		file.Close()
		names = append(names, entry.Name())
	}
	return names
}

func TestBackupsAreTakenWhenSomethingHasChangedAndOldOnesRemoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := mustSchedule(t, filepath.Join(t.TempDir(), "new", "dir"), mustSeed(t, 5), nil)
		pass(time.Minute)
		first := s.files()
		if len(first) != 1 || !strings.HasPrefix(first[0], "my_fleet_1-9-20000101T0000") {
			t.Fatalf("after the start there is %q", first)
		}
		pass(24 * time.Hour)
		if got := s.files(); !slices.Equal(got, first) {
			t.Fatalf("nothing has changed, and there is %q", got)
		}
		if h := s.Health(); h.Taken != 1 || h.Files != 1 || h.Revision != 9 || time.Since(h.Current) > time.Hour || time.Since(h.Last) < 23*time.Hour {
			t.Errorf("health is %+v", h)
		}
		// Entries that change no object are no reason either.
		s.next++
		mustApply(t, s.machine, s.next)
		pass(2 * time.Hour)
		if got := s.files(); !slices.Equal(got, first) {
			t.Fatalf("no object has changed, and there is %q", got)
		}
		for range 5 {
			s.change()
			s.change()
			pass(time.Hour)
		}
		got := s.files()
		if len(got) != 3 || slices.Contains(got, first[0]) || !strings.HasPrefix(got[2], "my_fleet_1-1011-") {
			t.Fatalf("after 5 changes there is %q", got)
		}
		if h := s.Health(); h.Taken != 6 || h.Files != 3 || h.Revision != 1011 || h.Problem != "" {
			t.Errorf("health is %+v", h)
		}
	})
}

// A server that is started again goes on where it was.
func TestBackupsGoOnAfterARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		machine := mustSeed(t, 5)
		s := mustSchedule(t, dir, machine, nil)
		pass(time.Minute)
		again := mustSchedule(t, dir, machine, nil)
		pass(3 * time.Hour)
		if got := s.files(); len(got) != 1 {
			t.Fatalf("nothing has changed, and there is %q", got)
		}
		if h := again.Health(); h.Taken != 0 || h.Files != 1 || h.Revision != 9 {
			t.Errorf("health is %+v", h)
		}
		// Two servers that share a directory do not save the same twice.
		s.change()
		pass(2 * time.Hour)
		if got := s.files(); len(got) != 2 {
			t.Fatalf("after a change there is %q", got)
		}
		// One that lags behind saves nothing that is older.
		lagging := mustSchedule(t, dir, mustSeed(t, 3), nil)
		pass(2 * time.Hour)
		if got := s.files(); len(got) != 2 || lagging.Health().Taken != 0 {
			t.Fatalf("a server that lags behind took a backup: %q", got)
		}
	})
}

// Whatever else is in the directory is left alone.
func TestOnlyOwnBackupsAreRemoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		other := mustMachine(t)
		mustApply(t, other, 3, put(argosyv1.RowKind_ROW_KIND_CLUSTER, fsm.ClusterKey, "", &argosyv1.ClusterSettings{ClusterId: "another"}))
		theirs := mustWrite(t, other.View())
		foreign := map[string][]byte{
			"notes.txt":                            []byte("x"),
			"my_fleet_1-1-20000101T000000Z.argosy": theirs,
			"my_fleet_1-2-20000101T000000Z.argosy": []byte("damaged"),
			"my_fleet_1-keep.argosy":               mustWrite(t, mustSeed(t, 1).View()),
			"your_fleet-1-20000101T000000Z.argosy": theirs,
			".part-my_fleet_1-young":               []byte("x"),
			".part-my_fleet_1-old":                 []byte("x"),
		}
		for name, data := range foreign {
			if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		old := time.Now().Add(-2 * time.Hour)
		if err := os.Chtimes(filepath.Join(dir, ".part-my_fleet_1-old"), old, old); err != nil {
			t.Fatal(err)
		}
		young := time.Now()
		if err := os.Chtimes(filepath.Join(dir, ".part-my_fleet_1-young"), young, young); err != nil {
			t.Fatal(err)
		}
		delete(foreign, ".part-my_fleet_1-old")
		s := mustSchedule(t, dir, mustSeed(t, 5), func(cfg *backup.ScheduleConfig) { cfg.Keep = 1 })
		for range 3 {
			s.change()
			pass(time.Hour + time.Minute)
		}
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		var own []string
		for _, entry := range entries {
			if _, ok := foreign[entry.Name()]; !ok {
				own = append(own, entry.Name())
			}
		}
		if len(entries) != len(foreign)+1 || len(own) != 1 || !strings.HasPrefix(own[0], "my_fleet_1-1003-") {
			t.Fatalf("there is %q beside what was there", own)
		}
	})
}

func TestAClockThatWasPutBackStopsNoBackups(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		machine := mustSeed(t, 5)
		// A day ahead.
		meta := backup.Describe(machine.View(), backup.Meta{ClusterID: clusterID, ClusterName: "my fleet/1", SavedAt: time.Now().Add(24 * time.Hour)})
		file, err := os.Create(filepath.Join(dir, "my_fleet_1-9-20000102T000000Z.argosy"))
		if err != nil {
			t.Fatal(err)
		}
		if err := backup.Write(t.Context(), file, meta, machine.View()); err != nil {
			t.Fatal(err)
		}
		file.Close()
		s := mustSchedule(t, dir, machine, func(cfg *backup.ScheduleConfig) { cfg.Keep = 1 })
		s.change()
		pass(time.Hour)
		if got := s.files(); len(got) != 1 || !strings.HasPrefix(got[0], "my_fleet_1-1001-") {
			t.Fatalf("there is %q", got)
		}
	})
}

func TestBackupThatFailsIsTriedAgainAndTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "dir")
		if err := os.WriteFile(dir, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		s := mustSchedule(t, dir, mustSeed(t, 5), nil)
		began := time.Now()
		pass(10 * time.Minute)
		if h := s.Health(); h.Failed < 5 || !strings.Contains(h.Problem, "not a directory") || !h.Since.Equal(began) || h.Files != 0 {
			t.Fatalf("health is %+v", h)
		}
		if err := os.Remove(dir); err != nil {
			t.Fatal(err)
		}
		pass(10 * time.Minute)
		if h := s.Health(); h.Problem != "" || !h.Since.IsZero() || h.Taken != 1 {
			t.Fatalf("health is %+v", h)
		}
		// It goes away later, too.
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
		s.change()
		pass(2 * time.Hour)
		if h := s.Health(); h.Problem == "" {
			t.Fatalf("health is %+v", h)
		}
	})
}

func TestScheduleIsChecked(t *testing.T) {
	for name, change := range map[string]func(*backup.ScheduleConfig){
		"no interval":  func(c *backup.ScheduleConfig) { c.Interval = 0 },
		"nothing kept": func(c *backup.ScheduleConfig) { c.Keep = 0 },
	} {
		cfg := backup.DefaultScheduleConfig()
		change(&cfg)
		if err := cfg.Validate(); err != nil {
			t.Errorf("%s, and no directory: %v", name, err)
		}
		cfg.Dir = "dir"
		if cfg.Validate() == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
