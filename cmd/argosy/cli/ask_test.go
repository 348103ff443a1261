package cli

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
)

func TestAQuestionIsOverWhenItsUserInterruptsIt(t *testing.T) {
	in, typing := io.Pipe()
	defer typing.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	a := &app{in: in, err: io.Discard}
	if answer, err := a.ask(ctx, "Well? "); !errors.Is(err, context.Canceled) {
		t.Errorf("answered %q, %v", answer, err)
	}
}

func TestAnAnswerIsOneLineWithoutWhatIsAroundIt(t *testing.T) {
	for typed, want := range map[string]string{"yes\n": "yes", " Yes \r\nno\n": "yes", "no": "no", "": ""} {
		a := &app{in: strings.NewReader(typed), err: io.Discard}
		if answer, err := a.ask(t.Context(), "Well? "); err != nil || answer != want {
			t.Errorf("%q is answered %q, %v", typed, answer, err)
		}
	}
}
