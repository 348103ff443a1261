package argosyv1

import "math"

// StalenessUnknown is ResponseHeader.staleness_ms of a server that has heard of
// no leader since it started: its state may be of any age.
const StalenessUnknown = math.MaxUint64
