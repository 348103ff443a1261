package lab

import (
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// router joins hosts by the kernel: each has a cable to it, and what is cut is a
// rule of its routing.
type router struct {
	routes *netlink.Handle
	// rules are in effect, by what they are for: a link or a host.
	rules map[any][]*netlink.Rule
}

var _ fabric = (*router)(nil)

func newRouter(namespace netns.NsHandle) (*router, error) {
	routes, err := netlink.NewHandleAt(namespace, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("talk to the router's kernel: %w", err)
	}
	return &router{routes: routes, rules: map[any][]*netlink.Rule{}}, nil
}

// port is the name of the router's end of a host's cable.
func port(h *Host) string { return fmt.Sprintf("port%d", h.number) }

// gateway is the router's address at that end.
func gateway(h *Host) string { return fmt.Sprintf("10.99.%d.1", h.number) }

func (r *router) join(h *Host) error {
	cable := &netlink.Veth{LinkAttrs: netlink.NewLinkAttrs(), PeerName: device, PeerNamespace: netlink.NsFd(h.namespace)}
	cable.Name = port(h)
	if err := r.routes.LinkAdd(cable); err != nil {
		return fmt.Errorf("lay cable: %w", err)
	}
	if err := turnOn(r.routes, port(h), gateway(h), 24); err != nil {
		return err
	}
	if err := turnOn(h.kernel, device, h.Address, 24); err != nil {
		return err
	}
	return r.plug(h)
}

func (r *router) plug(h *Host) error {
	if err := h.kernel.RouteReplace(&netlink.Route{Gw: net.ParseIP(gateway(h))}); err != nil {
		return fmt.Errorf("set route: %w", err)
	}
	return errors.Join(carries(r.routes, port(h)), carries(h.kernel, device))
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

func (r *router) cut(direction link) error {
	return r.add(direction, dropped(100, port(direction.from), direction.to.Address))
}

func (r *router) mend(direction link) error { return r.remove(direction) }

func (r *router) shape(link, Link) error {
	return fmt.Errorf("%w: the kernel's router lets packets pass or not: build the lab with a switch in user space", ErrUnable)
}

func (r *router) silence(h *Host) error {
	// The kernel takes a rule that says less for the same as one that says more:
	// these have a priority of their own.
	return r.add(h, dropped(99, port(h), ""), dropped(99, "", h.Address))
}

func (r *router) restore(h *Host) error { return r.remove(h) }

// dropped is the rule that what comes in at a port, or is for an address,
// vanishes.
func dropped(priority int, port, address string) *netlink.Rule {
	rule := netlink.NewRule()
	rule.Priority, rule.Family, rule.Table = priority, unix.AF_INET, 0
	rule.IifName = port
	if address != "" {
		rule.Dst = &net.IPNet{IP: net.ParseIP(address).To4(), Mask: net.CIDRMask(32, 32)}
	}
	rule.Type = unix.RTN_BLACKHOLE
	return rule
}

func (r *router) add(what any, rules ...*netlink.Rule) error {
	for _, rule := range rules {
		if err := r.routes.RuleAdd(rule); err != nil {
			return errors.Join(err, r.remove(what))
		}
		r.rules[what] = append(r.rules[what], rule)
	}
	return nil
}

func (r *router) remove(what any) error {
	for len(r.rules[what]) > 0 {
		if err := r.routes.RuleDel(r.rules[what][0]); err != nil {
			return err
		}
		r.rules[what] = r.rules[what][1:]
	}
	delete(r.rules, what)
	return nil
}

func (r *router) close() error {
	r.routes.Close()
	return nil
}
