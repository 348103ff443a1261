// Command argosy-chaos tries to break clusters of real servers and agents, and
// judges whether they kept what was promised.
package main

import (
	"os"

	"github.com/argosy-cluster/argosy/cmd/argosy-chaos/cli"
)

// version is stamped in by the linker.
var version = "unknown"

func main() { os.Exit(cli.Main(version)) }
