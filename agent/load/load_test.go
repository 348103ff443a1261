package load

import (
	"errors"
	"testing"
)

func TestSamplesTellTheUseSinceTheOneBefore(t *testing.T) {
	files := map[string]string{
		"/proc/stat":    "cpu  100 0 100 800 0 0 0 0 50 0\ncpu0 1 2 3 4\n",
		"/proc/meminfo": "MemTotal:       2048 kB\nMemFree:  1 kB\nMemAvailable:   1024 kB\nHugePages_Total:       0\n",
	}
	r := newReader(func(path string) ([]byte, error) {
		if content, ok := files[path]; ok {
			return []byte(content), nil
		}
		return nil, errors.New("no such file")
	})
	files["/proc/stat"] = "cpu  120 0 110 870 0 0 0 0 99 0\n"
	if s := r.Sample(); s.CPUPercent != 30 || s.FreeBytes != 1<<20 || s.TotalBytes != 2<<20 {
		t.Errorf("sample %+v", s)
	}
	files["/proc/stat"] = "cpu  120 0 110 900 70 0 0 0 99 0\n"
	if s := r.Sample(); s.CPUPercent != 0 {
		t.Errorf("waiting for a disk is not idle: %+v", s)
	}
	// Counters that run backwards, nonsense, and no file at all.
	for _, content := range []string{"cpu  120 0 120 890 60 0 0 0\n", "cpu a b c d e\n", "", "intr 5"} {
		files["/proc/stat"] = content
		if s := r.Sample(); s.CPUPercent > 100 {
			t.Errorf("sample of %q: %+v", content, s)
		}
	}
	delete(files, "/proc/meminfo")
	if s := r.Sample(); s.FreeBytes != 1<<20 {
		t.Errorf("what cannot be read is not as it was last known: %+v", s)
	}
}

func TestThisMachine(t *testing.T) {
	if s := New().Sample(); s.TotalBytes == 0 || s.FreeBytes == 0 || s.FreeBytes > s.TotalBytes || s.CPUPercent > 100 {
		t.Errorf("sample %+v", s)
	}
	if id := BootID(); len(id) != 36 {
		t.Errorf("boot id %q", id)
	}
}
