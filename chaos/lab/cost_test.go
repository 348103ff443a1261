package lab_test

import (
	"io"
	"net"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/argosy-cluster/argosy/chaos/lab"
)

// BenchmarkSwitch measures what a packet costs this process, with that of the
// programs that send and receive it, as if the switch were not there and as it
// is. Both ways a small message goes there and back.
func BenchmarkSwitch(b *testing.B) {
	for name, options := range map[string][]lab.Option{"router": nil, "switch": {lab.Shaped(1)}} {
		b.Run(name, func(b *testing.B) {
			l, err := lab.New(b.TempDir(), options...)
			if err != nil {
				b.Skip(err)
			}
			defer func() { _ = l.Close() }()
			near, far := benchConnect(b, l)
			go func() { _, _ = io.Copy(far, far) }()
			text := make([]byte, 200)
			before := cpuTime()
			for b.Loop() {
				if _, err := near.Write(text); err != nil {
					b.Fatal(err)
				}
				if _, err := io.ReadFull(near, text); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(cpuTime()-before)/float64(b.N), "cpu-ns/op")
		})
	}
}

// cpuTime is what this process has used, in nanoseconds.
func cpuTime() int64 {
	var usage unix.Rusage
	_ = unix.Getrusage(unix.RUSAGE_SELF, &usage)
	return usage.Utime.Nano() + usage.Stime.Nano()
}

func benchConnect(b *testing.B, l *lab.Lab) (near, far io.ReadWriteCloser) {
	from, err := l.Host("a")
	if err != nil {
		b.Fatal(err)
	}
	to, err := l.Host("b")
	if err != nil {
		b.Fatal(err)
	}
	var listener net.Listener
	err = lab.Within(to, func() error {
		listener, err = net.Listen("tcp4", net.JoinHostPort(to.Address, "0"))
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = listener.Close() })
	if near, err = from.Dial(b.Context(), listener.Addr().String()); err != nil {
		b.Fatal(err)
	}
	if far, err = listener.Accept(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _, _ = near.Close(), far.Close() })
	return near, far
}
