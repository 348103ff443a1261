// Package argosyv1 is Argosy's own API: the generated messages and services,
// which are also the domain model, and the few pure functions that every room
// must compute alike (instance ids, state texts, the hash over assignments,
// the mapping of error codes).
package argosyv1

// Protocol versions that this code speaks, sent in every handshake.
const (
	ProtocolMin = 1
	ProtocolMax = 1
)

// SupportedProtocol returns the range of protocol versions this code speaks.
func SupportedProtocol() *VersionRange {
	return &VersionRange{Min: ProtocolMin, Max: ProtocolMax}
}

// NegotiateProtocol returns the highest protocol version that both ranges
// contain, and false when there is none.
func NegotiateProtocol(a, b *VersionRange) (uint32, bool) {
	lowest := max(a.GetMin(), b.GetMin())
	highest := min(a.GetMax(), b.GetMax())
	return highest, lowest <= highest && highest > 0
}
