package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"runtime"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// maxHosts is how many hosts a lab may have: each has a network of its own.
const maxHosts = 250

// Host is a machine with a network of its own.
type Host struct {
	// Name of the host.
	Name string
	// Address at which the other hosts reach it.
	Address string

	lab *Lab
	// port is the router's end of the host's cable.
	port      string
	namespace netns.NsHandle
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
	host := &Host{Name: name, Address: fmt.Sprintf("10.99.%d.2", n), lab: l, port: fmt.Sprintf("port%d", n), namespace: netns.None()}
	if err := host.build(fmt.Sprintf("10.99.%d.1", n)); err != nil {
		return nil, errors.Join(fmt.Errorf("build host %s: %w", name, err), host.close())
	}
	l.hosts[name] = host
	return host, nil
}

// build makes the namespace and lays a cable to the router, whose address at
// that end is the host's gateway.
func (h *Host) build(gateway string) error {
	err := h.lab.thread.do(func() error {
		namespace, err := netns.New()
		if err != nil {
			return fmt.Errorf("make network namespace: %w", err)
		}
		h.namespace = namespace
		return netns.Set(h.lab.router)
	})
	if err != nil {
		return err
	}
	cable := &netlink.Veth{LinkAttrs: netlink.NewLinkAttrs(), PeerName: "eth0", PeerNamespace: netlink.NsFd(h.namespace)}
	cable.Name = h.port
	if err := h.lab.routes.LinkAdd(cable); err != nil {
		return fmt.Errorf("lay cable: %w", err)
	}
	if err := plug(h.lab.routes, h.port, gateway); err != nil {
		return err
	}
	inside, err := netlink.NewHandleAt(h.namespace, unix.NETLINK_ROUTE)
	if err != nil {
		return fmt.Errorf("talk to its kernel: %w", err)
	}
	defer inside.Close()
	if err := plug(inside, "lo", ""); err != nil {
		return err
	}
	if err := plug(inside, "eth0", h.Address); err != nil {
		return err
	}
	if err := inside.RouteAdd(&netlink.Route{Gw: net.ParseIP(gateway)}); err != nil {
		return fmt.Errorf("set route: %w", err)
	}
	return errors.Join(carries(h.lab.routes, h.port), carries(inside, "eth0"))
}

// carries waits until an interface sends: the kernel sees a moment later that
// its other end is there, and drops what is sent before.
func carries(handle *netlink.Handle, name string) error {
	for range 1000 {
		device, err := handle.LinkByName(name)
		if err != nil {
			return fmt.Errorf("find interface %s: %w", name, err)
		}
		if device.Attrs().OperState == netlink.OperUp {
			return nil
		}
		time.Sleep(2 * time.Millisecond)
	}
	return fmt.Errorf("interface %s does not find its other end", name)
}

// plug gives an interface its address and turns it on.
func plug(handle *netlink.Handle, name, address string) error {
	device, err := handle.LinkByName(name)
	if err != nil {
		return fmt.Errorf("find interface %s: %w", name, err)
	}
	if address != "" {
		network := &net.IPNet{IP: net.ParseIP(address).To4(), Mask: net.CIDRMask(24, 32)}
		if err := handle.AddrAdd(device, &netlink.Addr{IPNet: network}); err != nil {
			return fmt.Errorf("give interface %s address %s: %w", name, address, err)
		}
	}
	if err := handle.LinkSetUp(device); err != nil {
		return fmt.Errorf("turn interface %s on: %w", name, err)
	}
	return nil
}

// Start starts a program on the host. It ends with the lab.
func (h *Host) Start(cmd *exec.Cmd) error {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = child()
	}
	return h.lab.thread.do(func() error {
		if err := netns.Set(h.namespace); err != nil {
			return fmt.Errorf("enter host %s: %w", h.Name, err)
		}
		return errors.Join(cmd.Start(), netns.Set(h.lab.router))
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
		err = netns.Set(h.namespace)
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

func (h *Host) close() error {
	if !h.namespace.IsOpen() {
		return nil
	}
	return h.namespace.Close()
}
