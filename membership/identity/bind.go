package identity

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
)

// CheckBind returns an error when a server would listen at an address that
// other machines can reach, without TLS, and insecure does not say that this
// is meant. It asks no name server: of names, only localhost is loopback.
func CheckBind(address string, tls bool, insecure bool) error {
	if tls || insecure || IsLoopback(address) {
		return nil
	}
	return fmt.Errorf("%w at %s, which other machines can reach: give --ca-pem, --crt-pem and --key-pem, "+
		"bind to a loopback address, or say --insecure if everybody who reaches it may command the cluster",
		ErrInsecureBind, address)
}

// IsLoopback tells whether only this machine can reach an address, given as
// host or host:port.
func IsLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		host = strings.Trim(address, "[]")
	}
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}
