package kube

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strings"

	"github.com/containers/podman/v5/pkg/bindings/volumes"
	"github.com/containers/podman/v5/pkg/domain/entities/types"

	"github.com/argosy-cluster/argosy/agent/runtime"
	"github.com/argosy-cluster/argosy/agent/runtime/libpod"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// Labels of pods and their containers. They are not those by which the podman
// runtime knows its own.
const (
	labelInstance = "argosy.instance"
	labelAgent    = "argosy.agent"
	labelRestart  = "argosy.restart-policy"
)

// The volumes that keep a record of an instance, and their labels. Suffixes and
// data are those of Eclipse Ankaios.
const (
	suffixConfig = ".config"
	suffixPods   = ".pods"
	labelData    = "data"
	labelMakes   = "argosy.makes"
)

// Kinds of records, where the index has the names of containers.
const (
	recordConfig  = "config"
	recordPods    = "pods"
	recordForeign = "config of Ankaios"
)

// makes are the things with names that playing a manifest makes, and that were
// not there before.
type makes struct {
	Volumes []string `json:"volumes,omitempty"`
	Secrets []string `json:"secrets,omitempty"`
}

// records are what is written down of one instance.
type records struct {
	// config is the runtime configuration; hasConfig that there is one.
	config    string
	hasConfig bool
	makes     makes
	// pods are the ids of its pods; hasPods that it was made completely.
	pods    []string
	hasPods bool
}

// recordFilter finds the records of an instance, or of all of an agent.
func (k *Kube) recordFilter(key string) *volumes.ListOptions {
	pattern := `.\.` + regexp.QuoteMeta(k.cfg.Agent)
	if key != "" {
		pattern = "^" + regexp.QuoteMeta(key)
	}
	return new(volumes.ListOptions).WithFilters(map[string][]string{"name": {pattern + `\.(config|pods)$`}})
}

// recordOf reads one volume. ok is false when it is not a record of this agent.
func (k *Kube) recordOf(volume *types.VolumeListReport) (c libpod.Container, ok bool) {
	key, config := strings.CutSuffix(volume.Name, suffixConfig)
	if !config {
		key = strings.TrimSuffix(volume.Name, suffixPods)
	}
	name, err := argosyv1.ParseInstanceName(key)
	_, hasData := volume.Labels[labelData]
	if err != nil || name.GetAgent() != k.cfg.Agent || !hasData {
		return c, false
	}
	c.Instance = runtime.Instance{Name: name, RuntimeID: volume.Name, Status: runtime.StatusStarting}
	c.Container = recordPods
	if config {
		c.Container = recordForeign
		if volume.Labels[labelAgent] == k.cfg.Agent {
			c.Container = recordConfig
		}
	}
	c.Labels = volume.Labels
	return c, true
}

// readRecords reads what the labels of an instance's records say.
func readRecords(containers []libpod.Container) (r records, err error) {
	for _, c := range containers {
		switch c.Container {
		case recordConfig, recordForeign:
			r.hasConfig = true
			text, err := decode(c.Labels[labelData])
			if err != nil {
				return r, fmt.Errorf("read volume %s: %w", c.RuntimeID, err)
			}
			r.config = string(text)
			if text := c.Labels[labelMakes]; text != "" {
				if err := json.Unmarshal([]byte(text), &r.makes); err != nil {
					return r, fmt.Errorf("read volume %s: %w", c.RuntimeID, err)
				}
			}
		case recordPods:
			r.hasPods = true
			text, err := decode(c.Labels[labelData])
			if err == nil {
				err = json.Unmarshal(text, &r.pods)
			}
			if err != nil {
				return r, fmt.Errorf("read volume %s: %w", c.RuntimeID, err)
			}
		}
	}
	return r, nil
}

func decode(text string) ([]byte, error) {
	return base64.RawStdEncoding.DecodeString(strings.TrimRight(text, "="))
}

// writeConfig writes down what is about to be made.
func (k *Kube) writeConfig(ctx context.Context, p *plan, m makes) error {
	text, err := json.Marshal(m)
	if err != nil {
		return err
	}
	return k.write(ctx, p.name.Key()+suffixConfig, map[string]string{
		labelData: base64.RawStdEncoding.EncodeToString([]byte(p.config)), labelMakes: string(text),
	})
}

// writePods writes down that everything was made.
func (k *Kube) writePods(ctx context.Context, name *argosyv1.InstanceName, ids []string) error {
	text, err := json.Marshal(ids)
	if err != nil {
		return err
	}
	return k.write(ctx, name.Key()+suffixPods, map[string]string{labelData: base64.RawStdEncoding.EncodeToString(text)})
}

func (k *Kube) write(ctx context.Context, name string, labels map[string]string) error {
	labels[labelAgent] = k.cfg.Agent
	return k.client.Do(ctx, k.cfg.StartTimeout, "create volume "+name, func(ctx context.Context) error {
		_, err := volumes.Create(ctx, types.VolumeCreateOptions{Name: name, Labels: labels}, nil)
		return err
	})
}

// dropVolume removes a volume; one that does not exist counts as removed. With
// keepUsed one that something uses stays.
func (k *Kube) dropVolume(ctx context.Context, name string, keepUsed bool) error {
	err := k.client.Do(ctx, k.cfg.StartTimeout, "remove volume "+name, func(ctx context.Context) error {
		return volumes.Remove(ctx, name, nil)
	})
	switch {
	case libpod.IsCode(err, http.StatusNotFound):
		return nil
	case keepUsed && libpod.IsCode(err, http.StatusConflict):
		k.logger.Warn("volume was not removed: something else uses it", "volume", name)
		return nil
	}
	return err
}
