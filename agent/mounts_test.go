package agent

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/argosy-cluster/argosy/agent/control/controltest"
	"github.com/argosy-cluster/argosy/agent/runfolder"
	"github.com/argosy-cluster/argosy/agent/runtime"
	"github.com/argosy-cluster/argosy/agent/runtime/runtimetest/fake"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// shown makes a workload with a file and a control interface.
func shown(name string, revision uint64, content string) *argosyv1.Workload {
	w := workload(name, revision)
	w.Files = []*argosyv1.File{{MountPoint: "/etc/app.conf", Content: &argosyv1.File_Data{Data: content}}}
	w.ControlInterfaceAccess = &argosyv1.ControlInterfaceAccess{AllowRules: []*argosyv1.AccessRule{{
		Kind: &argosyv1.AccessRule_State{State: &argosyv1.StateRule{Operation: argosyv1.AccessOperation_ACCESS_OPERATION_READ, FilterMasks: []string{"desiredState"}}},
	}}}
	return w
}

// mustShowFile returns the folder of the control interface after it has checked
// what an instance is shown.
func mustShowFile(t *testing.T, rt *fake.Runtime, w *argosyv1.Workload, content string) (controlFolder string) {
	t.Helper()
	mounts := rt.Mounts(argosyv1.InstanceOf(w))
	if len(mounts) != 2 || mounts[0].Target != "/etc/app.conf" || mounts[1].Target != runtime.ControlInterfaceTarget || !mounts[0].ReadOnly || !mounts[1].ReadOnly {
		t.Fatalf("mounts %+v", mounts)
	}
	if got, err := os.ReadFile(mounts[0].Source); err != nil || string(got) != content {
		t.Fatalf("file is %q, %v, want %q", got, err, content)
	}
	return mounts[1].Source
}

// mustAnswer has a workload ask for what its rules do not allow.
func mustAnswer(t *testing.T, client *controltest.Client, id string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	// Nobody has the pipe open while the agent is started again.
	eventually(t, func() bool { return client.SendRequest(ctx, controltest.Get(id, "agents")) == nil }, func() string { return "nobody serves the control interface" })
	response, err := client.Response(ctx, id)
	if err != nil {
		t.Fatal(err)
	}
	if text := response.GetError().GetMessage(); text != "Access denied" {
		t.Errorf("answer %v", response)
	}
}

func isThere(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

func TestFilesAndControlInterfacesFollowTheirInstances(t *testing.T) {
	rt, dir := fake.New("pods"), t.TempDir()
	web := shown("web", 5, "one")
	l := startLeader(t, 1, 5, web)
	cfg := testConfig(dir, rt, l.address)
	cfg.RunFolder = filepath.Join(t.TempDir(), "run")
	stop := start(t, cfg)
	l.mustShow(t, web, "Running(Ok)")
	l.mustConverge(t, 5)
	folder := mustShowFile(t, rt, web, "one")
	if want := filepath.Join(cfg.RunFolder, "node1_io", "web."+argosyv1.InstanceID("image: web"), "control_interface"); folder != want {
		t.Errorf("control interface in %s, want %s", folder, want)
	}
	client := mustDial(t, folder)
	mustAnswer(t, client, "1")
	stop()

	// The agent's next life goes on with the session and touches nothing; what is
	// of nobody is removed.
	left := filepath.Join(cfg.RunFolder, "node1_io", "left.1")
	if err := os.Mkdir(left, 0o700); err != nil {
		t.Fatal(err)
	}
	stop = start(t, cfg)
	l.mustConverge(t, 5)
	eventually(t, func() bool { return !isThere(left) }, func() string { return "what an earlier life has left is there" })
	mustAnswer(t, client, "2")
	mustCall(t, rt, 1, 0)

	// Other files make another instance, which has the same name.
	changed := shown("web", 5, "two")
	changed.Revision = 6
	l.assign(6, []*argosyv1.Workload{changed})
	l.mustConverge(t, 6)
	mustCall(t, rt, 2, 1)
	mustAnswer(t, mustDial(t, mustShowFile(t, rt, changed, "two")), "3")

	l.assign(7, nil, "web")
	l.mustShow(t, web, "Removed")
	l.mustConverge(t, 7)
	eventually(t, func() bool { return !isThere(filepath.Dir(folder)) }, func() string { return "the folder of a removed instance is there" })
	stop()
}

func mustDial(t *testing.T, folder string) *controltest.Client {
	t.Helper()
	var client *controltest.Client
	eventually(t, func() (ok bool) {
		var err error
		client, err = controltest.Dial(folder)
		return err == nil
	}, func() string { return "nobody serves the control interface" })
	t.Cleanup(client.Close)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := client.Hello(ctx); err != nil {
		t.Fatal(err)
	}
	return client
}

func TestAFileThatCannotBeIsTold(t *testing.T) {
	rt := fake.New("pods")
	web := workload("web", 5)
	web.Files = []*argosyv1.File{{MountPoint: "/etc/key", Content: &argosyv1.File_BinaryData{BinaryData: "?"}}}
	l := startLeader(t, 1, 5, web)
	start(t, testConfig(t.TempDir(), rt, l.address))
	l.mustShow(t, web, "Pending(StartingFailed)")
	l.mustConverge(t, 5)
	mustCall(t, rt, 0, 0)
	l.mu.Lock()
	info := l.states[argosyv1.InstanceOf(web).Key()].GetExecution().GetAdditionalInfo()
	l.mu.Unlock()
	if !strings.Contains(info, "Failed to create workload file: '/etc/key'") {
		t.Errorf("state says %q", info)
	}
}

func TestARunFolderOfAnotherIsRefused(t *testing.T) {
	rt := fake.New("pods")
	l := startLeader(t, 1, 5)
	run := t.TempDir()
	first := testConfig(t.TempDir(), rt, l.address)
	first.RunFolder = run
	start(t, first)
	second := testConfig(t.TempDir(), rt, l.address)
	second.RunFolder = run
	if err := mustEnd(t, second); !errors.Is(err, runfolder.ErrInUse) {
		t.Errorf("error %v, want %v", err, runfolder.ErrInUse)
	}
	second.RunFolder = t.TempDir()
	if err := os.Chmod(second.RunFolder, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := mustEnd(t, second); !errors.Is(err, runfolder.ErrUnsafe) {
		t.Errorf("error %v, want %v", err, runfolder.ErrUnsafe)
	}
}

// mustEnd returns how an agent ended that ends by itself.
func mustEnd(t *testing.T, cfg Config) error {
	t.Helper()
	a, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	return a.Run(ctx)
}
