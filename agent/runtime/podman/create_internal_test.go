package podman

import (
	"testing"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

func TestWhatMayBeCreatedBesideAnother(t *testing.T) {
	p, err := New(Config{Agent: "node1", Service: "unix:///nowhere"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = p.Close() }()
	for option, may := range map[string]bool{
		"--env=A=b":               true,
		"--publish=8080:80":       true,
		"--volume=data:/data":     true,
		"--name=mine":             true, // refused by podman while the old has it
		"--network=host":          true,
		"--restart=no":            true,
		"--restart=always":        false,
		"--restart=on-failure:3":  false,
		"--replace":               false,
		"--cidfile=/run/id":       false,
		"--pod=web":               false,
		"--network=container:web": false,
		"--pid=container:web":     false,
		"--ipc=container:web":     false,
		"--requires=db":           false,
		"--volumes-from=db":       false,
	} {
		t.Run(option, func(t *testing.T) {
			config := "image: x\ncommandOptions: ['" + option + "'"
			if option == "--replace" {
				config += ", --name=mine"
			}
			plan, err := p.plan(&argosyv1.Workload{Name: "web", Agent: "node1", Runtime: Name, RuntimeConfig: config + "]\n"}, nil)
			if err != nil {
				t.Fatal(err)
			}
			if got := mayBeBeside(plan); got != may {
				t.Errorf("may be created beside another: %v, want %v", got, may)
			}
		})
	}
}
