package server

import (
	"net"
	"strings"
	"testing"
)

func TestAConfigurationThatCannotWorkIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Config)
		want   string
	}{
		"no data directory":        {func(c *Config) { c.DataDir = "" }, "--data-dir"},
		"a negative expectation":   {func(c *Config) { c.BootstrapExpect = -1 }, "--bootstrap-expect"},
		"far too many servers":     {func(c *Config) { c.BootstrapExpect = 100 }, "--bootstrap-expect"},
		"not an address":           {func(c *Config) { c.RaftAddress = "here" }, "--raft-address"},
		"the network without TLS":  {func(c *Config) { c.APIAddress = "192.0.2.1:1" }, "--insecure"},
		"HTTP on the network":      {func(c *Config) { c.HTTPAddress = "192.0.2.1:1" }, "--insecure"},
		"all addresses, but which": {func(c *Config) { c.APIAddress, c.Insecure = "0.0.0.0:1", true }, "--advertise"},
		"an advertised port":       {func(c *Config) { c.Advertise = "h:1" }, "--advertise"},
		"an unknown profile":       {func(c *Config) { c.Timing = "moon" }, "moon"},
		"a broken part":            {func(c *Config) { c.Writer.MaxBatch = 0 }, "MaxBatch"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := DefaultConfig()
			cfg.DataDir = "data"
			if err := cfg.Validate(); err != nil {
				t.Fatal(err)
			}
			c.change(&cfg)
			err := cfg.Validate()
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error is %v, want one with %q", err, c.want)
			}
		})
	}
}

func TestTheAdvertisedHostTakesTheListeningPort(t *testing.T) {
	listening := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 25551}
	for given, want := range map[string]string{
		"":            "127.0.0.1:25551",
		"s1.example":  "s1.example:25551",
		"192.0.2.7":   "192.0.2.7:25551",
		"2001:db8::1": "[2001:db8::1]:25551",
		"[::1]":       "[::1]:25551",
	} {
		if have := (Config{Advertise: given}).advertised(listening); have != want {
			t.Errorf("advertising %q: %s, want %s", given, have, want)
		}
	}
}
