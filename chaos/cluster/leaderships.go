package cluster

import (
	"errors"
	"fmt"
	"os"
	"regexp"
)

// leadershipBegan is the line with which a server says that it leads.
var leadershipBegan = regexp.MustCompile(`leadership began"? .*\bterm=([0-9]+)`)

// OneLeaderATerm returns an error when two servers have said that they led in
// the same term, which must never be.
func (c *Cluster) OneLeaderATerm() error {
	led := map[string]string{}
	var errs []error
	for _, p := range c.Servers {
		text, err := os.ReadFile(p.LogPath)
		if err != nil {
			return fmt.Errorf("look for leaderships: %w", err)
		}
		for _, found := range leadershipBegan.FindAllSubmatch(text, -1) {
			term := string(found[1])
			if other, ok := led[term]; ok && other != p.Name {
				errs = append(errs, fmt.Errorf("term %s was led by %s and by %s", term, other, p.Name))
			}
			led[term] = p.Name
		}
	}
	if len(led) == 0 {
		errs = append(errs, errors.New("nobody has said that it led"))
	}
	return errors.Join(errs...)
}
