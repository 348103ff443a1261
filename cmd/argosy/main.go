// Command argosy is all of Argosy in one binary: a server replica, a node's
// agent, a cluster to try it on, and the command line.
package main

import (
	"os"

	"github.com/argosy-cluster/argosy/cmd/argosy/cli"
)

// version is stamped in by the linker.
var version = "unknown"

func main() { os.Exit(cli.Main(version)) }
