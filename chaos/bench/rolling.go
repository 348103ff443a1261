package bench

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/argosy-cluster/argosy/client"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// rollers is how many clients write during a rolling restart.
const rollers = 8

// rolling restarts one server after the other, gracefully, while clients write,
// and measures for each restart how long any one of them was held up.
func (o *outages) rolling(ctx context.Context) error {
	l, err := o.startLoad(ctx, rollers)
	if err != nil {
		return err
	}
	defer l.end()
	var outage sample
	rounds := o.suite.times(34)
	for range rounds {
		for _, p := range o.cluster.Servers {
			l.longest()
			bounded, cancel := context.WithTimeout(ctx, 10*time.Second)
			err := p.Stop(bounded)
			cancel()
			if err != nil {
				return err
			}
			if err := p.Start(); err != nil {
				return err
			}
			if err := o.cluster.WaitLevel(ctx); err != nil {
				return err
			}
			outage = append(outage, l.longest())
		}
	}
	acknowledged, failed := l.end()
	o.suite.outage(fmt.Sprintf("rolling restart of all servers under the load of %d clients, longest wait of any for a write", rollers), outage, 0, 50)
	o.suite.add(fmt.Sprintf("requests that failed over %d rolling restarts (of %d)", rounds, acknowledged), float64(len(failed)), "requests", atMost(0))
	return errors.Join(failed...)
}

// load is a number of clients that write, each as fast as it is answered.
type load struct {
	cancel context.CancelFunc
	group  sync.WaitGroup
	mu     sync.Mutex
	// last is when each client was last answered; worst is the longest that any
	// of them waited.
	last         []time.Time
	worst        time.Duration
	acknowledged int
	failed       []error
}

func (o *outages) startLoad(ctx context.Context, clients int) (*load, error) {
	ctx, cancel := context.WithCancel(ctx)
	l := &load{cancel: cancel, last: make([]time.Time, clients)}
	endpoints := o.cluster.Endpoints()
	for i := range clients {
		first := i % len(endpoints)
		c, err := o.cluster.Client(client.Config{Endpoints: append(append([]string{}, endpoints[first:]...), endpoints[:first]...)})
		if err != nil {
			l.end()
			return nil, err
		}
		l.last[i] = time.Now()
		l.group.Go(func() {
			defer func() { _ = c.Close() }()
			for number := 0; ctx.Err() == nil; number++ {
				_, err := c.Apply(ctx, &argosyv1.ApplyRequest{Workloads: []*argosyv1.Workload{
					{Name: fmt.Sprintf("load-%d", i), Runtime: "process", RuntimeConfig: fmt.Sprintf("command: 'number %d'", number)},
				}})
				if ctx.Err() == nil {
					l.answered(i, err)
				}
			}
		})
	}
	return l, nil
}

func (l *load) answered(i int, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	l.worst = max(l.worst, now.Sub(l.last[i]))
	l.last[i] = now
	if err != nil {
		l.failed = append(l.failed, err)
		return
	}
	l.acknowledged++
}

// longest returns the longest that any client waited since it was asked last,
// those that wait still included.
func (l *load) longest() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	worst := l.worst
	l.worst = 0
	now := time.Now()
	for _, last := range l.last {
		worst = max(worst, now.Sub(last))
	}
	return worst
}

// end stops the clients. It may be called twice.
func (l *load) end() (acknowledged int, failed []error) {
	l.cancel()
	l.group.Wait()
	return l.acknowledged, l.failed
}
