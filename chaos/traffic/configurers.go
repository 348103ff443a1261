package traffic

import (
	"context"
	"fmt"

	"github.com/argosy-cluster/argosy/client"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

func renderedName(n int) string { return fmt.Sprintf("rendered-%d", n) }

// aliasOne and aliasTwo are the names by which templates know the configs of a
// configurer.
const aliasOne, aliasTwo = "one", "two"

// configurerPause is how much longer a configurer waits than other changers: what
// uses its configs is restarted each time.
const configurerPause = 10

// configurer is a session that writes configs and a workload whose templates use
// them.
type configurer struct {
	*session
	workload string
	configs  []string
}

// configureAlong mostly writes a config alone, or both at once, and sometimes the
// template, or all of it. It deletes them, too, which is refused of a config that is
// used.
func (c *configurer) configureAlong(ctx context.Context) {
	op := c.settle(ctx, c.configure(true, c.configs))
	for c.rest(ctx, op) && c.pause(ctx, max(configurerPause*c.meanPause(), leastMoverPause)) {
		op = c.settle(ctx, c.next())
	}
}

func (c *configurer) next() *write {
	switch c.rand.IntN(16) {
	case 0, 1, 2:
		return c.configure(true, c.configs)
	case 3:
		return c.configure(true, nil)
	case 4:
		return c.forget(nil, c.some(c.configs))
	case 5:
		return c.forget([]string{c.workload}, c.configs)
	case 6, 7, 8, 9, 10:
		return c.configure(false, c.configs)
	default:
		return c.configure(false, c.some(c.configs))
	}
}

// configure makes an Apply of configs, and of the workload.
func (c *configurer) configure(workload bool, configs []string) *write {
	request := &argosyv1.ApplyRequest{RequestId: client.NewRequestID()}
	for _, key := range configs {
		request.Configs = append(request.Configs, &argosyv1.Config{
			Key: key, Value: &argosyv1.ConfigItem{Kind: &argosyv1.ConfigItem_Text{Text: c.value()}},
		})
	}
	if workload {
		agent := c.config.Agents[c.rand.IntN(len(c.config.Agents))]
		w := c.config.Probe(c.workload, agent, c.value()+"_{{"+aliasOne+"}}_{{"+aliasTwo+"}}")
		w.Configs = map[string]string{aliasOne: c.configs[0], aliasTwo: c.configs[1]}
		request.Workloads = append(request.Workloads, w)
	}
	return &write{apply: request}
}

// forget makes a Delete of workloads and configs, whether they are there or not.
func (c *configurer) forget(workloads, configs []string) *write {
	w := c.remove(workloads...)
	w.delete.Configs, w.delete.IgnoreMissing = configs, true
	return w
}
