package sessions

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// Bounds on what an agent may say of itself.
const (
	maxTags      = 128
	maxTagsBytes = 32 << 10
	maxIDLength  = 256
)

var nameRule = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,63}$`)

// checkHello refuses what no server of this cluster can take, leader or not.
func checkHello(ctx context.Context, deps Deps, hello *argosyv1.AgentHello) (protocol uint32, err error) {
	protocol, ok := argosyv1.NegotiateProtocol(argosyv1.SupportedProtocol(), hello.GetProtocol())
	if !ok {
		return 0, argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_INCOMPATIBLE,
			"accept agent %q: it speaks protocol %d to %d (version %q), this server speaks %d to %d; upgrade the older one",
			hello.GetName(), hello.GetProtocol().GetMin(), hello.GetProtocol().GetMax(), hello.GetVersion(),
			argosyv1.ProtocolMin, argosyv1.ProtocolMax)
	}
	if !nameRule.MatchString(hello.GetName()) {
		return 0, argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_INVALID,
			"accept agent %q: its name must be 1 to 63 characters of [a-zA-Z0-9_-]", clip(hello.GetName()))
	}
	if hello.GetInstanceId() == "" || len(hello.GetInstanceId()) > maxIDLength {
		return 0, argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_INVALID,
			"accept agent %q: its instance id must have 1 to %d characters", hello.GetName(), maxIDLength)
	}
	if len(hello.GetBootId()) > maxIDLength || len(hello.GetHomeId()) > maxIDLength {
		return 0, argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_INVALID,
			"accept agent %q: its boot id and its home id must have at most %d characters", hello.GetName(), maxIDLength)
	}
	if err := checkTags(hello); err != nil {
		return 0, err
	}
	if own := deps.ClusterID(); hello.GetClusterId() != "" && own != "" && hello.GetClusterId() != own {
		return 0, argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_INCOMPATIBLE,
			"accept agent %q: it belongs to cluster %s, this server to cluster %s; point it at its own servers, or give it an empty data directory to join this cluster",
			hello.GetName(), clip(hello.GetClusterId()), own)
	}
	if err := checkIncarnation(deps, hello); err != nil {
		return 0, err
	}
	if names, tls := deps.PeerNames(ctx); tls && !slices.Contains(names, hello.GetName()) {
		return 0, argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_FORBIDDEN,
			"accept agent %q: its certificate is for %s; use a certificate that names the agent",
			hello.GetName(), listNames(names))
	}
	return protocol, nil
}

// checkIncarnation refuses an agent that has followed the cluster further than
// this server has: a recovery left this server behind, and what it would tell
// the agent to run is of another time.
func checkIncarnation(deps Deps, hello *argosyv1.AgentHello) error {
	own := deps.incarnation()
	if hello.GetIncarnation() == own || argosyv1.IncarnationNumber(hello.GetIncarnation()) < argosyv1.IncarnationNumber(own) {
		return nil
	}
	return argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_INCOMPATIBLE,
		"accept agent %q: it has followed incarnation %s of the cluster, server %s is of %s: the cluster was recovered since; stop this server and give it an empty data directory and --join",
		hello.GetName(), clip(argosyv1.DescribeIncarnation(hello.GetIncarnation())), deps.ServerID, argosyv1.DescribeIncarnation(own))
}

// seenTerm is the highest term in which an agent has followed this incarnation
// of the cluster; a new one counts anew.
func seenTerm(deps Deps, hello *argosyv1.AgentHello) uint64 {
	if hello.GetIncarnation() != deps.incarnation() {
		return 0
	}
	return hello.GetTerm()
}

func checkTags(hello *argosyv1.AgentHello) error {
	size := 0
	for key, value := range hello.GetTags() {
		size += len(key) + len(value)
		if key == "" {
			return argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_INVALID,
				"accept agent %q: a tag has no key", hello.GetName())
		}
	}
	if len(hello.GetTags()) > maxTags || size > maxTagsBytes {
		return argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_INVALID,
			"accept agent %q: it has %d tags of %d bytes; at most %d of %d bytes are taken",
			hello.GetName(), len(hello.GetTags()), size, maxTags, maxTagsBytes)
	}
	return nil
}

func listNames(names []string) string {
	if len(names) == 0 {
		return "no name at all"
	}
	quoted := make([]string, len(names))
	for at, name := range names {
		quoted[at] = fmt.Sprintf("%q", name)
	}
	return strings.Join(quoted, ", ")
}

// clip shortens what a stranger sent, for logs and errors.
func clip(text string) string {
	if len(text) > 80 {
		return strings.ToValidUTF8(text[:80], "") + "..."
	}
	return text
}
