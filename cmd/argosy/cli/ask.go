package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
)

// ask asks a person a question and returns the answer in small letters, empty for
// none. Who interrupts the program has answered, too: reading knows nothing of that,
// and goes on by itself until the program ends.
func (a *app) ask(ctx context.Context, question string) (string, error) {
	fmt.Fprint(a.err, question)
	type line struct {
		text string
		err  error
	}
	typed := make(chan line, 1)
	go func() {
		text, err := bufio.NewReader(a.in).ReadString('\n')
		typed <- line{text, err}
	}()
	select {
	case answer := <-typed:
		if answer.err != nil && !errors.Is(answer.err, io.EOF) {
			return "", fmt.Errorf("read answer: %w", answer.err)
		}
		return strings.ToLower(strings.TrimSpace(answer.text)), nil
	case <-ctx.Done():
		fmt.Fprintln(a.err)
		return "", fmt.Errorf("nothing was changed: %w", context.Cause(ctx))
	}
}
