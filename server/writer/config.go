package writer

import (
	"errors"
	"time"
)

// Config bounds what a Writer takes on.
type Config struct {
	// MaxBatch is how many requests one entry carries at the most. Default 256;
	// more makes the entry's own cost longer and saves no flush.
	MaxBatch int
	// MaxBatchBytes is the size in bytes from which on no further request is
	// added to an entry. Default 512 KiB. One request alone may be larger.
	MaxBatchBytes int
	// InFlight is how many entries may be proposed and not yet committed.
	// Default 2: while one is flushed to disk the next one is made. More makes
	// smaller batches.
	InFlight int
	// MaxQueue is how many requests may wait; further ones are refused as
	// OVERLOADED. Default 16384.
	MaxQueue int
	// MaxQueueBytes is how many bytes of requests may wait. Default 128 MiB.
	MaxQueueBytes int
	// MaxWorkloads is how many objects one request may name. Default 20,000.
	MaxWorkloads int
	// MaxApplyBytes is how large the objects of one request may be in all, with
	// everything that has to be rendered because of it. Default 16 MiB: an entry of
	// Raft's log must pass to the followers within their time-out.
	MaxApplyBytes int
	// MaxRenderTime is for how long templates may be rendered for one request.
	// Default 2 s, in which a machine renders tens of thousands of ordinary ones:
	// meanwhile nothing else is written.
	MaxRenderTime time.Duration
	// OutcomeAge is for how long outcomes of requests are remembered at the
	// least, unless there are too many. Default 10 minutes: a client that
	// retries later than that may have its write happen twice. A new leader
	// counts from when it began to lead.
	OutcomeAge time.Duration
	// MaxOutcomes is how many outcomes are remembered. Default 65,536.
	MaxOutcomes int
	// MaxOutcomeBytes is how large the remembered outcomes may be in all.
	// Default 64 MiB.
	MaxOutcomeBytes int
	// ExpireInterval is how often old outcomes are looked for. Default 30 s;
	// each find is one entry.
	ExpireInterval time.Duration
}

// DefaultConfig returns the defaults.
func DefaultConfig() Config {
	return Config{
		MaxBatch:        256,
		MaxBatchBytes:   512 << 10,
		InFlight:        2,
		MaxQueue:        16384,
		MaxQueueBytes:   128 << 20,
		MaxWorkloads:    20_000,
		MaxApplyBytes:   16 << 20,
		MaxRenderTime:   2 * time.Second,
		OutcomeAge:      10 * time.Minute,
		MaxOutcomes:     65_536,
		MaxOutcomeBytes: 64 << 20,
		ExpireInterval:  30 * time.Second,
	}
}

// Validate says what is wrong with the configuration.
func (c Config) Validate() error {
	for _, field := range []struct {
		name  string
		value int
	}{
		{"MaxBatch", c.MaxBatch},
		{"MaxBatchBytes", c.MaxBatchBytes},
		{"InFlight", c.InFlight},
		{"MaxQueue", c.MaxQueue},
		{"MaxQueueBytes", c.MaxQueueBytes},
		{"MaxWorkloads", c.MaxWorkloads},
		{"MaxApplyBytes", c.MaxApplyBytes},
		{"MaxOutcomes", c.MaxOutcomes},
		{"MaxOutcomeBytes", c.MaxOutcomeBytes},
	} {
		if field.value <= 0 {
			return errors.New(field.name + " must be positive")
		}
	}
	if c.OutcomeAge <= 0 || c.ExpireInterval <= 0 || c.MaxRenderTime <= 0 {
		return errors.New("OutcomeAge, ExpireInterval and MaxRenderTime must be positive")
	}
	return nil
}
