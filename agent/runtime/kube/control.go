package kube

import (
	"fmt"
	"strings"
)

// controlVolume is the name of the volume by which a container gets the control
// interface; that of Eclipse Ankaios.
const controlVolume = "control-interface-volume"

// addControlInterface mounts a directory of the host, that of the control
// interface, into the container that target names, pod/container. A Deployment's
// pod is called DEPLOYMENT-pod.
func (m *manifest) addControlInterface(target, directory, mountPath string) error {
	if target == "" {
		return ankaiosError("Control interface target not specified in runtime config.")
	}
	podName, containerName, ok := strings.Cut(target, "/")
	if !ok || podName == "" || containerName == "" || strings.Contains(containerName, "/") {
		return ankaiosError("Invalid control interface target format: '%s'. Expected format: '<pod_name>/<container_name>'", target)
	}
	for _, p := range m.pods {
		if p.name == podName {
			return p.mount(containerName, directory, mountPath)
		}
	}
	return ankaiosError("Cannot add Control Interface. Target pod not found '%s'", podName)
}

// mount adds the volume and its mount.
func (p pod) mount(container, directory, mountPath string) error {
	spec := child(p.object, "spec")
	containers, _ := spec["containers"].([]any)
	for _, value := range containers {
		c, _ := value.(map[string]any)
		if c["name"] != container {
			continue
		}
		mounts, _ := c["volumeMounts"].([]any)
		c["volumeMounts"] = append(mounts, map[string]any{"name": controlVolume, "mountPath": mountPath})
		volumes, _ := spec["volumes"].([]any)
		spec["volumes"] = append(volumes, map[string]any{
			"name": controlVolume, "hostPath": map[string]any{"path": directory, "type": "Directory"},
		})
		return nil
	}
	return ankaiosError("Target container '%s' not found.", container)
}

// ankaiosError is an error with a text of Ankaios, which its users know: it begins
// and ends as theirs do.
func ankaiosError(text string, values ...any) error { return fmt.Errorf(text, values...) }
