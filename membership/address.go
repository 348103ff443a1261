package membership

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// DefaultPort is the gossip port of a host that is named without one.
const DefaultPort = 25553

// Resolver turns host names into addresses. *net.Resolver is one.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// endpoint is a host, by name or address, and a port.
type endpoint struct {
	host string
	port uint16
}

func (e endpoint) String() string { return net.JoinHostPort(e.host, strconv.Itoa(int(e.port))) }

// parseEndpoint reads host, host:port, IPv6 with or without brackets.
func parseEndpoint(text string, defaultPort uint16) (endpoint, error) {
	text = strings.TrimSpace(text)
	bare := text
	if strings.HasPrefix(text, "[") && strings.HasSuffix(text, "]") {
		bare = text[1 : len(text)-1]
	}
	if address, err := netip.ParseAddr(bare); err == nil {
		return endpoint{address.String(), defaultPort}, nil
	}
	host, port := text, ""
	if strings.Contains(text, ":") {
		var err error
		if host, port, err = net.SplitHostPort(text); err != nil {
			return endpoint{}, fmt.Errorf("%w %q: want host or host:port", ErrAddress, text)
		}
	}
	if strings.ContainsAny(host, "/ \t") {
		return endpoint{}, fmt.Errorf("%w %q: want host or host:port", ErrAddress, text)
	}
	if port == "" {
		return endpoint{host, defaultPort}, nil
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return endpoint{}, fmt.Errorf("%w %q: port %q is not a number from 0 to 65535", ErrAddress, text, port)
	}
	return endpoint{host, uint16(number)}, nil
}

// resolve returns all addresses of an endpoint. Names are looked up each time,
// for a seed may move while this process runs.
func (e endpoint) resolve(ctx context.Context, resolver Resolver) ([]netip.AddrPort, error) {
	if address, err := netip.ParseAddr(e.host); err == nil {
		return []netip.AddrPort{netip.AddrPortFrom(address.Unmap(), e.port)}, nil
	}
	found, err := resolver.LookupNetIP(ctx, "ip", e.host)
	if err != nil {
		return nil, fmt.Errorf("look up %s: %w", e.host, err)
	}
	addresses := make([]netip.AddrPort, len(found))
	for i, address := range found {
		addresses[i] = netip.AddrPortFrom(address.Unmap(), e.port)
	}
	return addresses, nil
}

// bindAddress returns where to listen.
func bindAddress(ctx context.Context, text string, resolver Resolver) (netip.AddrPort, error) {
	bind, err := parseEndpoint(text, DefaultPort)
	if err != nil {
		return netip.AddrPort{}, err
	}
	if bind.host == "" {
		bind.host = netip.IPv6Unspecified().String()
	}
	addresses, err := bind.resolve(ctx, resolver)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("%w %q: %w", ErrAddress, text, err)
	}
	return addresses[0], nil
}

// advertiseAddress returns what to tell the others: the address given, or the
// one that is listened at, or, when that is all of them, the one by which
// other machines are reached.
func advertiseAddress(ctx context.Context, given string, bound netip.AddrPort, resolver Resolver) (netip.AddrPort, error) {
	if given != "" {
		advertise, err := parseEndpoint(given, bound.Port())
		if err != nil {
			return netip.AddrPort{}, fmt.Errorf("advertise: %w", err)
		}
		addresses, err := advertise.resolve(ctx, resolver)
		if err != nil {
			return netip.AddrPort{}, fmt.Errorf("advertise: %w %q: %w", ErrAddress, given, err)
		}
		if chosen := addresses[0]; !chosen.Addr().IsUnspecified() && chosen.Port() != 0 {
			return chosen, nil
		}
		return netip.AddrPort{}, fmt.Errorf("advertise: %w %q: others cannot send anything there: give the host by which they reach this machine", ErrAddress, given)
	}
	if !bound.Addr().IsUnspecified() {
		return bound, nil
	}
	outward, err := outwardAddress()
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("%w %s: it is no address that others can use, and none was found: "+
			"give the one they reach this machine by with --advertise: %w", ErrAddress, bound, err)
	}
	return netip.AddrPortFrom(outward, bound.Port()), nil
}

// outwardAddress asks the kernel which address this machine would use to reach
// another one. Nothing is sent: the socket is only connected. The address is one
// set aside for documentation.
func outwardAddress() (netip.Addr, error) {
	conn, err := net.Dial("udp", "192.0.2.1:9")
	if err != nil {
		return netip.Addr{}, err
	}
	defer conn.Close()
	return conn.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap(), nil
}
