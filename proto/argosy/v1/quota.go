package argosyv1

// DefaultStateQuota is how large the desired state may become, in bytes, when
// the settings of the cluster do not say: far more than is sensible, and far
// less than makes a snapshot a matter of minutes.
const DefaultStateQuota = 1 << 30

// StateQuota returns how large the desired state may become, in bytes. Settings
// may be nil.
func StateQuota(settings *ClusterSettings) uint64 {
	if quota := settings.GetStateQuotaBytes(); quota > 0 {
		return quota
	}
	return DefaultStateQuota
}
