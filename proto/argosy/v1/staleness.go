package argosyv1

import "math"

// StalenessUnknown is ResponseHeader.staleness_ms of a server to which no leader
// has confirmed what it has since it started: its state may be of any age.
const StalenessUnknown = math.MaxUint64
