package podman

import (
	"errors"
	"fmt"
	"maps"
	"net"

	"github.com/containers/podman/v5/cmd/podman/parse"
	"github.com/containers/podman/v5/pkg/domain/entities"
	"github.com/containers/podman/v5/pkg/specgen"
	"github.com/containers/podman/v5/pkg/specgenutil"
	"github.com/spf13/pflag"
	nettypes "go.podman.io/common/libnetwork/types"
)

// resolve turns network options into podman's description of them, as podman's
// run command does (cmd/podman/common, NetFlagsToNetOptions).
func (n *networkOptions) resolve(fs *pflag.FlagSet) (*entities.NetOptions, error) {
	options := &entities.NetOptions{
		AddHosts: n.addHost, HostsFile: n.hostsFile, DNSOptions: n.dnsOption,
		NoHostname: n.noHostname, NoHosts: n.noHosts,
	}
	for _, host := range n.addHost {
		if _, err := parse.ValidateExtraHost(host); err != nil {
			return nil, err
		}
	}
	var err error
	if len(n.publish) > 0 {
		if options.PublishPorts, err = specgenutil.CreatePortBindings(n.publish); err != nil {
			return nil, err
		}
	}
	if err := n.resolveDNS(options); err != nil {
		return nil, err
	}
	// Without the option the service chooses; it knows its default.
	if fs.Changed("network") {
		options.Network, options.Networks, options.NetworkOptions, err = specgen.ParseNetworkFlag(n.network)
		if err != nil {
			return nil, err
		}
	}
	return options, n.resolveAddresses(options)
}

func (n *networkOptions) resolveDNS(options *entities.NetOptions) error {
	for _, server := range n.dns {
		if server == "none" {
			if len(n.dns) > 1 {
				return fmt.Errorf("--dns %s is not allowed to be specified with other DNS ip addresses", server)
			}
			options.UseImageResolvConf = true
			break
		}
		ip := net.ParseIP(server)
		if ip == nil {
			return fmt.Errorf("--dns %s is not an ip address", server)
		}
		options.DNSServers = append(options.DNSServers, ip)
	}
	for _, domain := range n.dnsSearch {
		if domain == "." {
			if len(n.dnsSearch) > 1 {
				return errors.New("cannot pass additional search domains when also specifying '.'")
			}
			continue
		}
		if _, err := parse.ValidateDomain(domain); err != nil {
			return err
		}
	}
	options.DNSSearch = n.dnsSearch
	return nil
}

// resolveAddresses gives addresses and aliases to the networks.
func (n *networkOptions) resolveAddresses(options *entities.NetOptions) error {
	if n.ip == "" && n.ip6 == "" && n.macAddress == "" && len(n.networkAlias) == 0 {
		return nil
	}
	if !options.Network.IsBridge() && !options.Network.IsDefault() {
		return errors.New("--ip, --ip6, --mac-address and --network-alias can only be set when the network mode is bridge")
	}
	if len(options.Networks) == 0 {
		options.Networks = map[string]nettypes.PerNetworkOptions{"default": {}}
	}
	var change nettypes.PerNetworkOptions
	for _, address := range []struct{ name, text string }{{"ip", n.ip}, {"ip6", n.ip6}} {
		if address.text == "" {
			continue
		}
		ip := net.ParseIP(address.text)
		if ip == nil {
			return fmt.Errorf("--%s %s is not an ip address", address.name, address.text)
		}
		change.StaticIPs = append(change.StaticIPs, ip)
	}
	if n.macAddress != "" {
		mac, err := net.ParseMAC(n.macAddress)
		if err != nil {
			return fmt.Errorf("--mac-address: %w", err)
		}
		change.StaticMAC = nettypes.HardwareAddr(mac)
	}
	if len(options.Networks) != 1 && (len(change.StaticIPs) > 0 || change.StaticMAC != nil) {
		return errors.New("--ip, --ip6 and --mac-address can only be set for a single network")
	}
	for name, network := range maps.All(options.Networks) {
		network.StaticIPs = append(network.StaticIPs, change.StaticIPs...)
		if change.StaticMAC != nil {
			network.StaticMAC = change.StaticMAC
		}
		if len(n.networkAlias) > 0 {
			network.Aliases = n.networkAlias
		}
		options.Networks[name] = network
	}
	return nil
}
