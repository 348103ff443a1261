package podmand

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// apiVersion is the oldest version of the API that both 4.x and 5.x serve.
const apiVersion = "v4.0.0"

// ping asks the service for a sign of life and returns its version.
func (s *Service) ping(ctx context.Context) (string, error) {
	response, err := s.do(ctx, http.MethodGet, "/_ping", nil, nil)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	return response.Header.Get("Libpod-API-Version"), nil
}

// do sends one request; an answer that is not a success is an error. The caller
// closes the body.
func (s *Service) do(ctx context.Context, method, path string, query url.Values, body io.Reader) (*http.Response, error) {
	target := "http://podman/" + apiVersion + "/libpod" + path
	if len(query) > 0 {
		target += "?" + query.Encode()
	}
	request, err := http.NewRequestWithContext(ctx, method, target, body)
	if err != nil {
		return nil, err
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/x-tar")
	}
	response, err := s.client.Do(request)
	if err != nil {
		return nil, err
	}
	if response.StatusCode/100 == 2 {
		return response, nil
	}
	defer response.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(response.Body, 64<<10))
	var answer struct {
		Message string `json:"message"`
	}
	if json.Unmarshal(text, &answer) != nil || answer.Message == "" {
		answer.Message = strings.TrimSpace(string(text))
	}
	return nil, fmt.Errorf("podman answered %s: %s", response.Status, answer.Message)
}
