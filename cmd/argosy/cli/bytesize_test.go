package cli

import "testing"

func TestAByteSizeIsReadAsItIsWritten(t *testing.T) {
	for text, want := range map[string]uint64{
		"0": 0, "1": 1, "268435456": 256 << 20, "256MiB": 256 << 20, "1.5GiB": 3 << 29, "2G": 2 << 30, "10 KiB": 10 << 10, "7B": 7,
	} {
		var b byteSize
		if err := b.Set(text); err != nil || uint64(b) != want {
			t.Errorf("%q is read as %d, %v; want %d", text, b, err, want)
		}
		var again byteSize
		if err := again.Set(b.String()); err != nil || again != b {
			t.Errorf("%q is written as %q, which is read as %d, %v", text, b.String(), again, err)
		}
	}
	for _, text := range []string{"", "x", "-1", "1XB", "MiB", "NaN", "1e30T"} {
		var b byteSize
		if err := b.Set(text); err == nil {
			t.Errorf("%q is read as %d", text, b)
		}
	}
}
