package server

import (
	"fmt"
	"time"
)

// certificateNotice is how long before a certificate expires it is spoken of.
const certificateNotice = 14 * 24 * time.Hour

// warnings are what is or will soon be wrong with this server though it serves.
func (s *Server) warnings() []string {
	var warnings []string
	if s.identity != nil {
		expires := s.identity.Certificate().NotAfter
		if left := time.Until(expires); left < certificateNotice {
			warnings = append(warnings, fmt.Sprintf("its certificate expires at %s, in %v: replace it and start the server again",
				expires.UTC().Format(time.RFC3339), left.Round(time.Hour)))
		}
	}
	if b := s.backups.Health(); b.Problem != "" {
		warnings = append(warnings, fmt.Sprintf("its backups fail since %s: %s", b.Since.UTC().Format(time.RFC3339), b.Problem))
	}
	if owed := s.levelNote.warning(); owed != "" {
		warnings = append(warnings, owed)
	}
	return append(warnings, s.integrityWarnings()...)
}
