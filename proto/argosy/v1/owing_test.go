package argosyv1

import (
	"fmt"
	"testing"

	"google.golang.org/protobuf/proto"
)

func TestWhatIsOwedTwiceIsNamedOnce(t *testing.T) {
	many := &Owing{}
	for i := range MaxOwing {
		many.Workloads = append(many.Workloads, fmt.Sprintf("w%04d", i))
	}
	all := &Owing{Anything: true}
	for name, test := range map[string]struct{ a, b, want *Owing }{
		"nothing":        {nil, &Owing{}, nil},
		"of one":         {&Owing{Workloads: []string{"a"}}, nil, &Owing{Workloads: []string{"a"}}},
		"of both":        {&Owing{Workloads: []string{"c", "b"}}, &Owing{Workloads: []string{"a", "b"}}, &Owing{Workloads: []string{"a", "b", "c"}}},
		"as many as can": {many, many, many},
		"too many":       {many, &Owing{Workloads: []string{"x"}}, all},
		"anything":       {all, &Owing{Workloads: []string{"a"}}, all},
	} {
		if got := test.a.And(test.b); !proto.Equal(got, test.want) {
			t.Errorf("%s: %v, want %v", name, got, test.want)
		}
	}
}
