package trial

import (
	"context"
	"time"

	"github.com/argosy-cluster/argosy/chaos/history"
)

// standEvery is how often servers are asked which state they have.
const standEvery = 500 * time.Millisecond

// stand records what the servers say of their states until the context ends.
// Moments at which nobody answers leave no record.
func (t *trial) stand(ctx context.Context) {
	ticker := time.NewTicker(standEvery)
	defer ticker.Stop()
	for {
		t.standings(ctx)
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// standings records what each server that is known says of its state.
func (t *trial) standings(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	status, err := t.stage.client.Status(ctx)
	if err != nil {
		return
	}
	at := t.clock()
	for _, server := range status.GetServers() {
		if server.GetAppliedIndex() > 0 && server.GetStateHash() != "" {
			t.recorder.Standing(history.Standing{
				Server: server.GetName(), ID: server.GetId(), At: at, Index: server.GetAppliedIndex(), Hash: server.GetStateHash(),
			})
		}
	}
}
