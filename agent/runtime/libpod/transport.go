package libpod

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"sync"
)

// transport keeps the bindings from sending a request again: they repeat up to
// three times what failed in transport, creating things too, and sleep between
// without looking at the context. Here a failure becomes an answer, and what it
// was is kept in the call.
type transport struct {
	http.RoundTripper
}

// call is what became of one call of the bindings.
type call struct {
	mu       sync.Mutex
	answered bool
	failure  error
}

type callKey struct{}

func (c *call) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failure = errors.Join(c.failure, err)
}

func (c *call) answer() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.answered = true
}

// outcome says whether the service answered, and what broke in transport.
func (c *call) outcome() (answered bool, failure error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.answered, c.failure
}

func (t transport) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := t.RoundTripper.RoundTrip(request)
	c, ok := request.Context().Value(callKey{}).(*call)
	if !ok {
		return response, err
	}
	if err != nil {
		c.fail(err)
		return failureResponse(request, err), nil
	}
	c.answer()
	response.Body = &body{ReadCloser: response.Body, call: c}
	return response, nil
}

// failureResponse is an answer that the bindings turn into an error at once.
func failureResponse(request *http.Request, failure error) *http.Response {
	text, _ := json.Marshal(map[string]any{
		"cause": failure.Error(), "message": failure.Error(), "response": http.StatusServiceUnavailable,
	})
	return &http.Response{
		Status: http.StatusText(http.StatusServiceUnavailable), StatusCode: http.StatusServiceUnavailable,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header:        http.Header{"Content-Type": {"application/json"}},
		Body:          io.NopCloser(bytes.NewReader(text)),
		ContentLength: int64(len(text)),
		Request:       request,
	}
}

// body notes that an answer broke off.
type body struct {
	io.ReadCloser
	call *call
}

func (b *body) Read(data []byte) (int, error) {
	n, err := b.ReadCloser.Read(data)
	if err != nil && !errors.Is(err, io.EOF) {
		b.call.fail(err)
	}
	return n, err
}

// joined has the deadline and the end of one context and the values of two: the
// bindings hide the connection in a context under keys of their own.
type joined struct {
	context.Context
	values context.Context
}

func (j joined) Value(key any) any {
	if value := j.Context.Value(key); value != nil {
		return value
	}
	return j.values.Value(key)
}
