// Command probe is a probe and nothing else, for containers of tests.
package main

import (
	"os"

	"github.com/argosy-cluster/argosy/chaos/traffic/probe"
)

func main() { os.Exit(probe.Main(os.Args[2:])) }
