package kube

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"

	apps "github.com/containers/podman/v5/pkg/k8s.io/api/apps/v1"
	core "github.com/containers/podman/v5/pkg/k8s.io/api/core/v1"
	documents "gopkg.in/yaml.v3"
	"sigs.k8s.io/yaml"
)

// manifest is Kubernetes YAML, read with the two parsers that podman reads it
// with, one after the other as podman does: what is found here is what podman
// will find.
type manifest struct {
	documents []document
	pods      []pod
	// kinds of the documents, each once; skipped are those that podman does
	// nothing with.
	kinds, skipped []string
	// claims and secrets are the names of such documents.
	claims, secrets []string
}

// document is one object of a manifest.
type document struct {
	kind, name string
	object     map[string]any
}

// pod is one pod that podman makes of a manifest.
type pod struct {
	// name at podman.
	name string
	// kind of its document.
	kind string
	// restartPolicy as podman understands it.
	restartPolicy core.RestartPolicy
	// object is the object in the document that describes it: with metadata and
	// spec.
	object map[string]any
	spec   core.PodSpec
}

// parseManifest reads and checks a manifest. What it does not check, podman does.
func parseManifest(text string) (_ *manifest, err error) {
	// Neither parser is meant for texts of strangers.
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("its parser fails on it: %v", cause)
		}
	}()
	m := &manifest{}
	decoder := documents.NewDecoder(bytes.NewReader([]byte(text)))
	for number := 1; ; number++ {
		var object any
		err := decoder.Decode(&object)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("document %d: %w", number, err)
		}
		if object == nil {
			continue
		}
		if err := m.add(object); err != nil {
			return nil, fmt.Errorf("document %d: %w", number, err)
		}
	}
	if len(m.pods) == 0 {
		return nil, errors.New("nothing in it runs: give at least one Pod, Deployment, DaemonSet or Job")
	}
	return m, nil
}

// add takes in a document, or each item of a list of documents.
func (m *manifest) add(value any) error {
	object, ok := value.(map[string]any)
	if !ok {
		return fmt.Errorf("it is a %T, want an object with kind and metadata", value)
	}
	kind, _ := object["kind"].(string)
	switch kind {
	case "":
		return errors.New("it has no kind")
	case "List":
		items, _ := object["items"].([]any)
		for i, item := range items {
			if err := m.add(item); err != nil {
				return fmt.Errorf("item %d: %w", i+1, err)
			}
		}
		return nil
	}
	metadata, _ := object["metadata"].(map[string]any)
	name, _ := metadata["name"].(string)
	d := document{kind: kind, name: name, object: object}
	if err := m.read(d); err != nil {
		return fmt.Errorf("%s %s: %w", kind, name, err)
	}
	if !slices.Contains(m.kinds, kind) {
		m.kinds = append(m.kinds, kind)
	}
	return nil
}

// read reads what has to be known of a document.
func (m *manifest) read(d document) error {
	switch d.kind {
	case "Pod":
		var read core.Pod
		if err := d.decode(&read); err != nil {
			return err
		}
		if err := m.addPod(d, d.name, d.object, read.Spec); err != nil {
			return err
		}
	case "Deployment":
		var read apps.Deployment
		if err := d.decode(&read); err != nil {
			return err
		}
		if err := m.addTemplate(d, read.Spec.Template.Spec); err != nil {
			return err
		}
	case "DaemonSet":
		var read apps.DaemonSet
		if err := d.decode(&read); err != nil {
			return err
		}
		if err := m.addTemplate(d, read.Spec.Template.Spec); err != nil {
			return err
		}
	case "Job":
		var read core.Job
		if err := d.decode(&read); err != nil {
			return err
		}
		if err := m.addTemplate(d, read.Spec.Template.Spec); err != nil {
			return err
		}
	case "PersistentVolumeClaim":
		m.claims = append(m.claims, d.name)
	case "Secret":
		m.secrets = append(m.secrets, d.name)
	case "ConfigMap":
	default:
		m.skipped = append(m.skipped, d.kind)
		return nil
	}
	if d.name == "" {
		return errors.New("metadata.name is missing")
	}
	m.documents = append(m.documents, d)
	return nil
}

func (d document) decode(into any) error {
	text, err := documents.Marshal(d.object)
	if err != nil {
		return err
	}
	return yaml.Unmarshal(text, into)
}

// addTemplate takes in the pod of a document with a template of it.
func (m *manifest) addTemplate(d document, spec core.PodSpec) error {
	outer, _ := d.object["spec"].(map[string]any)
	template, ok := outer["template"].(map[string]any)
	if !ok {
		return errors.New("spec.template is missing")
	}
	return m.addPod(d, d.name+"-pod", template, spec)
}

func (m *manifest) addPod(d document, name string, object map[string]any, spec core.PodSpec) error {
	if len(spec.Containers) == 0 {
		return errors.New("it has no containers")
	}
	names := make(map[string]bool)
	for _, c := range append(slices.Clone(spec.InitContainers), spec.Containers...) {
		switch {
		case c.Name == "":
			return errors.New("a container has no name")
		case names[c.Name]:
			return fmt.Errorf("two containers are called %s", c.Name)
		case c.Image == "":
			return fmt.Errorf("container %s has no image", c.Name)
		}
		names[c.Name] = true
	}
	if slices.ContainsFunc(m.pods, func(other pod) bool { return other.name == name }) {
		return fmt.Errorf("two pods are called %s", name)
	}
	policy := spec.RestartPolicy
	switch policy {
	case core.RestartPolicyNever, core.RestartPolicyOnFailure:
	default:
		policy = core.RestartPolicyAlways
	}
	m.pods = append(m.pods, pod{name: name, kind: d.kind, restartPolicy: policy, object: object, spec: spec})
	return nil
}

// volumes are the names of the volumes that podman makes for the manifest.
func (m *manifest) volumes() []string {
	names := slices.Clone(m.claims)
	for _, p := range m.pods {
		names = append(names, p.volumes()...)
	}
	return unique(names)
}

// forced are the names of the volumes that podman kube down --force removes: it
// looks for claims, and for volumes of plain pods only.
func (m *manifest) forced() []string {
	names := slices.Clone(m.claims)
	for _, p := range m.pods {
		if p.kind == "Pod" {
			names = append(names, p.volumes()...)
		}
	}
	return unique(names)
}

func (p pod) volumes() (names []string) {
	for _, v := range p.spec.Volumes {
		switch {
		case v.PersistentVolumeClaim != nil:
			names = append(names, v.PersistentVolumeClaim.ClaimName)
		case v.ConfigMap != nil:
			names = append(names, v.ConfigMap.Name)
		case v.Secret != nil:
			names = append(names, v.Secret.SecretName)
		}
	}
	return names
}

func unique(names []string) []string {
	slices.Sort(names)
	return slices.DeleteFunc(slices.Compact(names), func(name string) bool { return name == "" })
}

// label sets labels of all pods.
func (m *manifest) label(labels map[string]string) {
	for _, p := range m.pods {
		into := child(child(p.object, "metadata"), "labels")
		for key, value := range labels {
			into[key] = value
		}
		into[labelRestart] = string(p.restartPolicy)
	}
}

// child returns an object in an object, made when it is missing.
func child(object map[string]any, key string) map[string]any {
	found, ok := object[key].(map[string]any)
	if !ok {
		found = make(map[string]any)
		object[key] = found
	}
	return found
}

// text writes the manifest, without claims of volumes that exist: they mean
// nothing then, and podman before 4.4 refuses them.
func (m *manifest) text(exists func(volume string) bool) ([]byte, error) {
	var out bytes.Buffer
	encoder := documents.NewEncoder(&out)
	for _, d := range m.documents {
		if d.kind == "PersistentVolumeClaim" && exists(d.name) {
			continue
		}
		if err := encoder.Encode(d.object); err != nil {
			return nil, fmt.Errorf("write manifest: %w", err)
		}
	}
	if err := encoder.Close(); err != nil {
		return nil, fmt.Errorf("write manifest: %w", err)
	}
	return out.Bytes(), nil
}
