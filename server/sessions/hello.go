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
	if names, tls := deps.PeerNames(ctx); tls && !slices.Contains(names, hello.GetName()) {
		return 0, argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_FORBIDDEN,
			"accept agent %q: its certificate is for %s; use a certificate that names the agent",
			hello.GetName(), listNames(names))
	}
	return protocol, nil
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
