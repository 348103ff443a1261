package cli

import (
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/lmittmann/tint"
	"github.com/spf13/pflag"
)

// logOptions say how a server or an agent logs.
type logOptions struct {
	level  string
	format string
}

func (o *logOptions) addFlags(flags *pflag.FlagSet) {
	flags.StringVar(&o.level, "log-level", "info", "what to log: debug, info, warn or error")
	flags.StringVar(&o.format, "log-format", "text", "how to log: text or json")
}

// logger makes the logger: for people on a terminal, for machines elsewhere.
func (o *logOptions) logger(w io.Writer) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(o.level)); err != nil {
		return nil, usagef("--log-level %q is not known: use debug, info, warn or error", o.level)
	}
	switch {
	case o.format == "json":
		return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level})), nil
	case o.format != "text":
		return nil, usagef("--log-format %q is not known: use text or json", o.format)
	case isTerminal(w):
		return slog.New(tint.NewTextHandler(w, &tint.Options{Level: level, TimeFormat: time.TimeOnly, NoColor: os.Getenv("NO_COLOR") != ""})), nil
	default:
		return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: level})), nil
	}
}
