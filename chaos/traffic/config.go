package traffic

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/argosy-cluster/argosy/chaos/history"
	"github.com/argosy-cluster/argosy/chaos/plan"
	"github.com/argosy-cluster/argosy/client"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

var (
	// ErrConfig is returned for traffic that cannot be.
	ErrConfig = errors.New("traffic cannot be made like this")
	// ErrUnsettled is returned when the traffic does not come to rest.
	ErrUnsettled = errors.New("traffic does not come to rest")
)

// DefaultPatience is for how long a client waits for an answer.
const DefaultPatience = 5 * time.Second

// Server is a server of the cluster.
type Server struct {
	// Name is its name, Endpoint the address of its API.
	Name, Endpoint string
}

// Config says what traffic to make.
type Config struct {
	// Connect makes a client for the given endpoints. The traffic closes it.
	// Required.
	Connect func(endpoints ...string) (*client.Client, error)
	// Servers are those of the cluster. Required.
	Servers []Server
	// Agents are the names of those that run probes.
	Agents []string
	// Load says how many clients of each sort there are.
	Load plan.Load
	// Rand decides what they do. It is used while the traffic is started only.
	// Required.
	Rand *rand.Rand
	// Recorder is where everything is recorded. Required.
	Recorder *history.Recorder
	// Clock stamps it. Required.
	Clock history.Clock
	// Probe makes the workload that gives signs of life: its runtime configuration
	// contains the value so that history.Value finds it. Nil means that there are
	// no probes, whatever the load says.
	Probe func(workload, agent, value string) *argosyv1.Workload
	// Asker makes a workload that reads and writes an object by its control interface
	// until probe.Calm tells it not to, by the directory Messages. Nil means that there
	// are none, whatever the load says.
	Asker    func(workload, agent, value, object string) *argosyv1.Workload
	Messages string
	// Patience is for how long a client waits for an answer; some wait for less.
	// Default DefaultPatience.
	Patience time.Duration
}

func (c Config) withDefaults() (Config, error) {
	if c.Patience == 0 {
		c.Patience = DefaultPatience
	}
	if c.Probe == nil {
		c.Load.Probes, c.Load.Couples, c.Load.Configurers = 0, 0, 0
	}
	if c.Asker == nil {
		c.Load.Askers = 0
	}
	if c.Load.Probes == 0 {
		c.Load.Movers, c.Load.LogFollowers = 0, 0
	}
	var problems []error
	if c.Connect == nil || c.Rand == nil || c.Recorder == nil || c.Clock == nil {
		problems = append(problems, errors.New("it needs Connect, Rand, Recorder and Clock"))
	}
	if len(c.Servers) == 0 {
		problems = append(problems, errors.New("there is no server"))
	}
	for _, s := range c.Servers {
		if s.Name == "" || s.Endpoint == "" {
			problems = append(problems, fmt.Errorf("server %q with endpoint %q needs both", s.Name, s.Endpoint))
		}
	}
	if c.Load.Probes+c.Load.Couples+c.Load.Configurers+c.Load.Askers > 0 && len(c.Agents) == 0 {
		problems = append(problems, fmt.Errorf("%d probes have no agent to run on", c.Load.Probes))
	}
	l := c.Load
	if min(l.Writers, l.Rivals, l.Makers, l.Appliers, l.Readers, l.StaleReaders, l.Listers, l.Watchers, l.LogFollowers, l.Probes, l.Movers, l.Couples, l.Configurers, l.Subscribers, l.Askers) < 0 || l.PauseUs < 0 || c.Patience < 0 {
		problems = append(problems, errors.New("no number of the load may be negative"))
	}
	if err := errors.Join(problems...); err != nil {
		return c, fmt.Errorf("make traffic: %w: %w", ErrConfig, err)
	}
	return c, nil
}
