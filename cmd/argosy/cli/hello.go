package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/spf13/cobra"
)

// helloCommand is a small service to try things on: the demonstration runs it in
// a container made of this program alone.
func (a *app) helloCommand() *cobra.Command {
	var listen string
	cmd := &cobra.Command{
		Use:    "hello",
		Short:  "Serve a greeting over HTTP",
		Hidden: true,
		Args:   usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			listener, err := net.Listen("tcp", listen)
			if err != nil {
				return fmt.Errorf("serve greetings: %w", err)
			}
			started := time.Now()
			server := &http.Server{ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				fmt.Fprintf(w, "hello from pid %d, up since %s\n", os.Getpid(), started.UTC().Format(time.RFC3339Nano))
			})}
			stop := context.AfterFunc(cmd.Context(), func() { _ = server.Close() })
			defer stop()
			fmt.Fprintln(a.out, "listening on", listener.Addr())
			if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
				return fmt.Errorf("serve greetings: %w", err)
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&listen, "listen", "127.0.0.1:8080", "address to listen on")
	return cmd
}
