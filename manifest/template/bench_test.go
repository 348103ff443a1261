package template_test

import "testing"

// runtimeConfig is a usual one: 300 bytes, three values.
const runtimeConfig = `image: {{image}}
commandOptions:
  - "--publish={{port}}:80"
  - "--restart=no"
  - "--env=GREETING=Hello from the other side"
  {{#if b}}
  - "--memory=256m"
  {{/if}}
  - "--volume=/srv/www/static:/usr/share/nginx/html:ro"
commandArgs: ["nginx", "-g", "daemon off; error_log stderr {{c}};"]
`

var benchValues = dict{"image": text("docker.io/library/nginx:1.27"), "port": text("8080"), "b": text(""), "c": text("info")}

func BenchmarkParse(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		mustParse(b, runtimeConfig)
	}
}

func BenchmarkRender(b *testing.B) {
	b.ReportAllocs()
	parsed := mustParse(b, runtimeConfig)
	for b.Loop() {
		if _, err := parsed.Render(benchValues); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkBomb renders until no step is left.
func BenchmarkBomb(b *testing.B) {
	long := make(list, 500)
	for i := range long {
		long[i] = text("x")
	}
	parsed := mustParse(b, "{{#each long}}{{#each @root.long}}{{#if (eq this 'y')}}{{/if}}{{/each}}{{/each}}")
	for b.Loop() {
		if _, err := parsed.Render(dict{"long": long}); err == nil {
			b.Fatal("the bomb did not end")
		}
	}
}
