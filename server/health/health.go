// Package health tells watchdogs over HTTP whether the process is alive and
// whether the replica can serve, and why not. It protects one invariant: it
// answers from memory at once and changes nothing.
//
// /healthz fails when the process cannot go on and should be started anew.
// /readyz fails when it cannot serve now, though it may later. With ?verbose
// both list every check, one a line: "ok", "failed" or "warning", its name, and
// the reason.
package health

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// Check is one thing that was looked at.
type Check struct {
	// Name is one word.
	Name string
	// Problem says what is wrong, "" when nothing is.
	Problem string
	// Fatal tells that the process cannot go on.
	Fatal bool
	// Warning tells that the replica serves all the same.
	Warning bool
}

// fails tells whether a check speaks against the answer that was asked for.
func (c Check) fails(fatalOnly bool) bool {
	return c.Problem != "" && !c.Warning && (c.Fatal || !fatalOnly)
}

// Handler serves /healthz and /readyz.
func Handler(checks func() []Check) *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, r *http.Request) { answer(w, r, checks(), true) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) { answer(w, r, checks(), false) })
	return mux
}

// NewServer makes the HTTP server around a handler.
func NewServer(handler http.Handler) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
	}
}

// answer tells the first problem that counts, or every check when it was asked
// for.
func answer(w http.ResponseWriter, r *http.Request, checks []Check, fatalOnly bool) {
	first := ""
	for _, c := range checks {
		if c.fails(fatalOnly) {
			first = c.Problem
			break
		}
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	if first != "" {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	// Whoever asked may be gone by now; there is nobody else to tell.
	_, _ = io.WriteString(w, text(r, checks, first, fatalOnly))
}

func text(r *http.Request, checks []Check, first string, fatalOnly bool) string {
	verdict := "ok"
	if first != "" {
		verdict = first
	}
	if _, verbose := r.URL.Query()["verbose"]; !verbose {
		return verdict + "\n"
	}
	var b strings.Builder
	for _, c := range checks {
		switch {
		case c.Problem == "":
			fmt.Fprintf(&b, "ok       %s\n", c.Name)
		case c.fails(fatalOnly):
			fmt.Fprintf(&b, "failed   %s: %s\n", c.Name, c.Problem)
		default:
			fmt.Fprintf(&b, "warning  %s: %s\n", c.Name, c.Problem)
		}
	}
	return b.String()
}
