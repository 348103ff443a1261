package rebuild_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"go.uber.org/goleak"

	"github.com/argosy-cluster/argosy/fsm"
	"github.com/argosy-cluster/argosy/server/audit"
	"github.com/argosy-cluster/argosy/server/consensus"
	"github.com/argosy-cluster/argosy/server/consensus/storage"
	"github.com/argosy-cluster/argosy/server/rebuild"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestOnlyDamageIsDamage(t *testing.T) {
	for _, test := range []struct {
		err  error
		want rebuild.Verdict
	}{
		{nil, rebuild.Sound},
		{errors.New("something"), rebuild.Sound},
		{consensus.ErrLocked, rebuild.Sound},
		{syscall.ENOSPC, rebuild.Sound},
		{storage.Damaged(&os.PathError{Op: "read", Path: "x", Err: syscall.EACCES}), rebuild.Sound},
		{storage.Damaged(&os.PathError{Op: "read", Path: "x", Err: syscall.EIO}), rebuild.DataDamaged},
		{storage.ErrKind, rebuild.Sound},
		{storage.ErrCorrupt, rebuild.DataDamaged},
		{storage.ErrForgotten, rebuild.DataDamaged},
		{fmt.Errorf("%w: %w", consensus.ErrBroken, storage.ErrCorrupt), rebuild.DataDamaged},
		{audit.ErrDiverged, rebuild.DataDamaged},
		{fsm.ErrSnapshot, rebuild.DataDamaged},
		{fmt.Errorf("%w: %w", fsm.ErrFailed, fsm.ErrDamaged), rebuild.MemoryDamaged},
		// Every server would fail at an entry that was written so.
		{fmt.Errorf("%w: %w", fsm.ErrFailed, fsm.ErrMalformed), rebuild.Sound},
		{fmt.Errorf("%w: %w", fsm.ErrFailed, fsm.ErrOutOfOrder), rebuild.Sound},
		// What is too new is not damaged, whatever else is said of it.
		{fmt.Errorf("%w: %w", fsm.ErrSnapshot, fsm.ErrUnknown), rebuild.Sound},
	} {
		if got := rebuild.Judge(test.err); got != test.want {
			t.Errorf("%v is judged %d, want %d", test.err, got, test.want)
		}
	}
}

// world counts how often a server is opened.
type world struct {
	cfg    rebuild.Config
	opened int
	fail   []error // of each life
	now    time.Time
}

func (w *world) Run(context.Context) error { return w.fail[min(w.opened, len(w.fail))-1] }

// newWorld has a data directory of a cluster of three.
func newWorld(t *testing.T, fail ...error) *world {
	t.Helper()
	dir, id := t.TempDir(), uuid.NewString()
	roster := fmt.Sprintf(`[{"id": %q, "voter": true}, {"id": %q, "voter": true}, {"id": %q, "voter": true}]`, id, uuid.NewString(), uuid.NewString())
	for name, text := range map[string]string{"server-id": id, "cluster-id": uuid.NewString(), "servers": roster} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	w := &world{fail: fail, now: time.Unix(1_700_000_000, 0)}
	w.cfg = rebuild.DefaultConfig(dir, func() (rebuild.Replica, error) { w.opened++; return w, nil })
	w.cfg.Now = func() time.Time { w.now = w.now.Add(time.Second); return w.now }
	return w
}

func (w *world) id(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(w.cfg.DataDir, "server-id"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(text))
}

func TestAServerIsOpenedAgainUntilItIsWell(t *testing.T) {
	end := errors.New("the end")
	w := newWorld(t, storage.ErrCorrupt, fsm.ErrDamaged, end)
	before := w.id(t)
	if err := rebuild.Run(t.Context(), w.cfg); !errors.Is(err, end) || w.opened != 3 {
		t.Fatalf("opened %d times, ended with %v", w.opened, err)
	}
	history, err := rebuild.History(w.cfg.DataDir)
	if err != nil || history.Total() != 2 || len(history) != 2 {
		t.Fatalf("history is %+v, error %v", history, err)
	}
	if history[0].Old != before || history[0].New != w.id(t) || history[1].Old != "" {
		t.Errorf("history is %+v, the id was %s and is %s", history, before, w.id(t))
	}
}

func TestAMachineThatDamagesAgainAndAgainIsGivenUp(t *testing.T) {
	w := newWorld(t, storage.ErrCorrupt)
	if err := rebuild.Run(t.Context(), w.cfg); !errors.Is(err, rebuild.ErrTooOften) || !errors.Is(err, storage.ErrCorrupt) || w.opened != 4 {
		t.Fatalf("opened %d times, ended with %v", w.opened, err)
	}
	// A supervisor that starts it again changes nothing.
	id := w.id(t)
	if err := rebuild.Run(t.Context(), w.cfg); !errors.Is(err, rebuild.ErrTooOften) || w.id(t) != id {
		t.Fatalf("ended with %v", err)
	}
	w.now = w.now.Add(w.cfg.Window)
	w.fail = []error{storage.ErrCorrupt, storage.ErrCorrupt, storage.ErrCorrupt, storage.ErrCorrupt, storage.ErrCorrupt, storage.ErrCorrupt, nil}
	w.opened = 5
	if err := rebuild.Run(t.Context(), w.cfg); err != nil || w.id(t) == id {
		t.Fatalf("after some time it is not tried again: %v", err)
	}
}

func TestAServerThatIsToldToEndIsNotOpenedAgain(t *testing.T) {
	w := newWorld(t, storage.ErrCorrupt)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := rebuild.Run(ctx, w.cfg); !errors.Is(err, storage.ErrCorrupt) || w.opened != 1 {
		t.Fatalf("opened %d times, ended with %v", w.opened, err)
	}
}

func TestTheLastCopyStays(t *testing.T) {
	nobody := errors.New("nobody was asked")
	for name, tc := range map[string]struct {
		spared func(context.Context) error
		stays  bool
	}{
		"nobody is asked":        {nil, true},
		"nobody answers":         {func(context.Context) error { return nobody }, true},
		"others do without this": {func(context.Context) error { return nil }, false},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, storage.ErrCorrupt, nil)
			w.cfg.Spared = tc.spared
			id := w.id(t)
			if err := os.WriteFile(filepath.Join(w.cfg.DataDir, "servers"), []byte(fmt.Sprintf(`[{"id": %q, "voter": true}]`, id)), 0o600); err != nil {
				t.Fatal(err)
			}
			err := rebuild.Run(t.Context(), w.cfg)
			if stays := w.opened == 1 && w.id(t) == id; stays != tc.stays || stays != errors.Is(err, consensus.ErrLastCopy) {
				t.Fatalf("opened %d times as %s, was %s, ended with %v", w.opened, w.id(t), id, err)
			}
		})
	}
}

func TestConfigurationIsChecked(t *testing.T) {
	if err := rebuild.Run(t.Context(), rebuild.Config{}); err == nil {
		t.Error("an empty configuration was taken")
	}
}
