package trial

import (
	"math/rand/v2"

	"github.com/argosy-cluster/argosy/chaos/traffic"
)

// load is the traffic of the trial's plan.
func (t *trial) load() traffic.Config {
	p := t.config.Plan
	config := traffic.Config{
		Connect: t.stage.connect, Load: p.Load, Recorder: t.recorder, Clock: t.clock,
		// Another stream of chance than the faults'.
		Rand: rand.New(rand.NewPCG(p.Seed, 1<<32)),
	}
	for _, server := range t.stage.cluster.Servers {
		config.Servers = append(config.Servers, traffic.Server{Name: server.Name, Endpoint: server.Endpoint()})
	}
	for _, agent := range t.stage.cluster.Agents {
		config.Agents = append(config.Agents, agent.Name)
	}
	if len(config.Agents) > 0 {
		config.Probe, config.Asker, config.Messages = t.prober(), t.asker(), t.recorder.MessagesDir()
	}
	return config
}
