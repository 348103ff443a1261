package client

import (
	"context"

	"google.golang.org/grpc"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// RemoveServer takes a server out of the cluster for good.
func (c *Client) RemoveServer(ctx context.Context, req *argosyv1.RemoveServerRequest) (*argosyv1.RemoveServerResponse, error) {
	made := &request{what: "remove server " + req.GetServer(), size: largeRequest + 1, write: true}
	return call(ctx, c, made,
		func(ctx context.Context, stub services, options ...grpc.CallOption) (*argosyv1.RemoveServerResponse, error) {
			response, err := stub.RemoveServer(ctx, req, options...)
			if made.ambiguous.Load() && argosyv1.CodeOf(err) == argosyv1.ErrorCode_ERROR_CODE_NOT_FOUND {
				// An earlier try of this very call has removed it.
				return &argosyv1.RemoveServerResponse{ServerId: req.GetServer()}, nil
			}
			return response, err
		})
}

// PromoteServer gives a server its vote.
func (c *Client) PromoteServer(ctx context.Context, req *argosyv1.PromoteServerRequest) (*argosyv1.PromoteServerResponse, error) {
	return call(ctx, c, &request{what: "promote server " + req.GetServer(), size: largeRequest + 1, write: true},
		func(ctx context.Context, stub services, options ...grpc.CallOption) (*argosyv1.PromoteServerResponse, error) {
			return stub.PromoteServer(ctx, req, options...)
		})
}

// GetSettings reads the settings of the cluster.
func (c *Client) GetSettings(ctx context.Context) (*argosyv1.GetSettingsResponse, error) {
	return call(ctx, c, &request{what: "read settings"},
		func(ctx context.Context, stub services, options ...grpc.CallOption) (*argosyv1.GetSettingsResponse, error) {
			return stub.GetSettings(ctx, &argosyv1.GetSettingsRequest{}, options...)
		})
}

// UpdateSettings changes some settings of the cluster. When it names the
// revision that it expects, a try whose fate is unknown is not repeated blindly:
// the repeat is refused if the first one was carried out.
func (c *Client) UpdateSettings(ctx context.Context, req *argosyv1.UpdateSettingsRequest) (*argosyv1.UpdateSettingsResponse, error) {
	return call(ctx, c, &request{what: "update settings", size: largeRequest + 1, write: true},
		func(ctx context.Context, stub services, options ...grpc.CallOption) (*argosyv1.UpdateSettingsResponse, error) {
			return stub.UpdateSettings(ctx, req, options...)
		})
}

// ListLeaderships asks any server who led when.
func (c *Client) ListLeaderships(ctx context.Context, req *argosyv1.ListLeadershipsRequest) (*argosyv1.ListLeadershipsResponse, error) {
	return call(ctx, c, &request{what: "read the history of leaderships"},
		func(ctx context.Context, stub services, options ...grpc.CallOption) (*argosyv1.ListLeadershipsResponse, error) {
			return stub.ListLeaderships(ctx, req, options...)
		})
}
