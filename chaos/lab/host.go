package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"sync"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// maxHosts is how many hosts a lab may have: each has a network of its own.
const maxHosts = 250

// device is the name of a host's interface, on the host.
const device = "eth0"

// Host is a machine with a network of its own.
type Host struct {
	// Name of the host.
	Name string
	// Address at which the other hosts reach it.
	Address string

	lab *Lab
	// number is its own among the hosts of the lab, from 1.
	number    int
	namespace netns.NsHandle
	// entry keeps the namespace from being closed while a thread enters it.
	entry sync.RWMutex
	// kernel is that of its network.
	kernel *netlink.Handle
	// group has all processes of the host; groupless is why there is none.
	group     *group
	groupless error
	// reaper ends what is left on the host when this process dies.
	reaper *keeper
	// mute is why nothing is heard of it, 0 when it is.
	mute muteness
}

// Host returns the host of a name; it is built when it is asked for first.
func (l *Lab) Host(name string) (*Host, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if host, ok := l.hosts[name]; ok {
		return host, nil
	}
	n := len(l.hosts) + 1
	if n > maxHosts {
		return nil, fmt.Errorf("build host %s: there are %d already, the most that a lab has", name, maxHosts)
	}
	host := &Host{Name: name, Address: fmt.Sprintf("10.99.%d.2", n), lab: l, number: n, namespace: netns.None()}
	if err := host.build(); err != nil {
		return nil, errors.Join(fmt.Errorf("build host %s: %w", name, err), host.close())
	}
	l.hosts[name] = host
	return host, nil
}

// build makes the namespace and joins it to the others.
func (h *Host) build() error {
	err := h.lab.thread.do(func() error {
		namespace, err := netns.New()
		if err != nil {
			return fmt.Errorf("make network namespace: %w", err)
		}
		h.namespace = namespace
		return netns.Set(h.lab.home)
	})
	if err != nil {
		return err
	}
	own, err := h.inode()
	if err != nil {
		return err
	}
	if h.kernel, err = netlink.NewHandleAt(h.namespace, unix.NETLINK_ROUTE); err != nil {
		return fmt.Errorf("talk to its kernel: %w", err)
	}
	if err := turnOn(h.kernel, "lo", "", 0); err != nil {
		return err
	}
	h.group, h.groupless = newGroup(fmt.Sprintf("argosy-lab-%d-%d-%d", os.Getpid(), own.number, h.number))
	if err := h.newReaper(own); err != nil {
		return fmt.Errorf("start its reaper: %w", err)
	}
	return h.lab.fabric.join(h)
}

// turnOn turns an interface on; it is given an address before, unless that is
// empty, in a network of so many bits.
func turnOn(handle *netlink.Handle, name, address string, bits int) error {
	device, err := handle.LinkByName(name)
	if err != nil {
		return fmt.Errorf("find interface %s: %w", name, err)
	}
	if address != "" {
		network := &net.IPNet{IP: net.ParseIP(address).To4(), Mask: net.CIDRMask(bits, 32)}
		if err := handle.AddrAdd(device, &netlink.Addr{IPNet: network}); err != nil {
			return fmt.Errorf("give interface %s address %s: %w", name, address, err)
		}
	}
	if err := handle.LinkSetUp(device); err != nil {
		return fmt.Errorf("turn interface %s on: %w", name, err)
	}
	return nil
}

// turnOff turns the host's interface off.
func (h *Host) turnOff() error {
	cable, err := h.kernel.LinkByName(device)
	if err != nil {
		return fmt.Errorf("find interface %s: %w", device, err)
	}
	if err := h.kernel.LinkSetDown(cable); err != nil {
		return fmt.Errorf("turn interface %s off: %w", device, err)
	}
	return nil
}

// Start starts a program on the host. It ends with the lab.
func (h *Host) Start(cmd *exec.Cmd) error {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = child()
	}
	if err := h.start(cmd); err != nil || h.group == nil {
		return err
	}
	if err := h.group.add(cmd.Process.Pid); err != nil {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		return err
	}
	return nil
}

func (h *Host) start(cmd *exec.Cmd) error {
	return h.lab.thread.do(func() error {
		if err := netns.Set(h.namespace); err != nil {
			return fmt.Errorf("enter host %s: %w", h.Name, err)
		}
		return errors.Join(cmd.Start(), netns.Set(h.lab.home))
	})
}

// Dial connects from the host, over TCP.
func (h *Host) Dial(ctx context.Context, address string) (net.Conn, error) {
	var conn net.Conn
	err := h.within(func() error {
		// A socket belongs to the namespace in which it was made: with one address
		// of one family that is done here and in no other goroutine.
		var err error
		conn, err = (&net.Dialer{}).DialContext(ctx, "tcp4", address)
		return err
	})
	return conn, err
}

// within runs a function with the network of the host.
func (h *Host) within(f func() error) error {
	runtime.LockOSThread()
	home, err := netns.Get()
	if err == nil {
		defer func() { _ = home.Close() }()
		err = h.enter()
	}
	if err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("enter host %s: %w", h.Name, err)
	}
	err = f()
	// A thread that cannot find its way back is of no use to others: it stays
	// locked and ends with this goroutine.
	if netns.Set(home) == nil {
		runtime.UnlockOSThread()
	}
	return err
}

// enter gives the calling thread the network of the host.
func (h *Host) enter() error {
	h.entry.RLock()
	defer h.entry.RUnlock()
	return netns.Set(h.namespace)
}

func (h *Host) close() error {
	var err error
	if h.namespace.IsOpen() {
		err = h.KillAll()
	}
	if h.group != nil {
		err = errors.Join(err, h.group.close())
	}
	if h.reaper != nil {
		h.reaper.dismiss()
	}
	if h.kernel != nil {
		h.kernel.Close()
	}
	// Somebody may still be dialing: those who do not wait for an answer any more
	// do not wait for the attempt.
	h.entry.Lock()
	defer h.entry.Unlock()
	if h.namespace.IsOpen() {
		err = errors.Join(err, h.namespace.Close())
	}
	return err
}
