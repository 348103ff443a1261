package api

import (
	"context"
	"slices"
	"strings"

	"github.com/argosy-cluster/argosy/membership/identity"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// callingAgent returns the registered agent whose certificate the caller shows.
// Who shows that of a server is none, and without TLS nobody can tell.
func (s *Service) callingAgent(ctx context.Context) (name string, ok bool) {
	names, _ := identity.PeerNames(ctx)
	if len(names) == 0 || slices.Contains(names, identity.ServerName) {
		return "", false
	}
	view := s.State.View()
	for _, name := range names {
		if _, registered := view.Agent(name); registered {
			return name, true
		}
	}
	return "", false
}

const (
	clusterMethods  = "/argosy.v1.ClusterService/"
	operatorMethods = "/argosy.v1.OperatorService/"
)

// CheckAgent refuses calls that an agent has no need of: whoever takes a machine
// over must not have the cluster with it. An agent reads for its workloads, which
// it does not tell from one another to servers, and writes what they ask for.
func (s *Service) CheckAgent(ctx context.Context, method string) error {
	switch method {
	case argosyv1.ClusterService_GetWorkload_FullMethodName, argosyv1.ClusterService_GetState_FullMethodName,
		argosyv1.ClusterService_Watch_FullMethodName, argosyv1.ClusterService_Logs_FullMethodName,
		argosyv1.ClusterService_Status_FullMethodName,
		argosyv1.ClusterService_Apply_FullMethodName, argosyv1.ClusterService_Write_FullMethodName: // their writes are judged one by one
		return nil
	}
	if !strings.HasPrefix(method, clusterMethods) && !strings.HasPrefix(method, operatorMethods) {
		return nil
	}
	if name, ok := s.callingAgent(ctx); ok {
		return agentForbidden("call "+method, name)
	}
	return nil
}

func agentForbidden(what, agent string) error {
	return argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_FORBIDDEN,
		"%s: the certificate is that of agent %q, which may read, and write on behalf of its workloads alone: use a certificate that names no agent", what, agent)
}
