package server

import (
	"fmt"
	"testing"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

func TestOneServerFoundsAClusterAlone(t *testing.T) {
	r := mustCluster(t, 1, nil)[0]
	written := mustApply(t, r, applyOf(workload("w", "one")))
	if written.GetHeader().GetRevision() == 0 || written.GetHeader().GetServerId() != r.ID() || written.GetHeader().GetClusterId() == "" {
		t.Errorf("header is %v", written.GetHeader())
	}
	read := mustGet(t, r, "w")
	if read.GetWorkload().GetRevision() != written.GetHeader().GetRevision() {
		t.Errorf("workload is at revision %d, written at %d", read.GetWorkload().GetRevision(), written.GetHeader().GetRevision())
	}
}

func TestAWriteThroughAnyServerIsReadOnAnyOther(t *testing.T) {
	all := mustCluster(t, 3, nil)
	for i, through := range all {
		name := fmt.Sprint("w", i)
		written := mustApply(t, through, applyOf(workload(name, "one")))
		for _, at := range all {
			if read := mustGet(t, at, name); read.GetWorkload().GetRevision() != written.GetHeader().GetRevision() {
				t.Errorf("through %s at %s: revision %d, want %d", through.cfg.Name, at.cfg.Name,
					read.GetWorkload().GetRevision(), written.GetHeader().GetRevision())
			}
		}
		if _, err := through.Delete(requestContext(t), &argosyv1.DeleteRequest{RequestId: newID(), Names: []string{name}}); err != nil {
			t.Fatal(err)
		}
		for _, at := range all {
			_, err := at.GetWorkload(requestContext(t), &argosyv1.GetWorkloadRequest{Name: name})
			if argosyv1.CodeOf(err) != argosyv1.ErrorCode_ERROR_CODE_NOT_FOUND {
				t.Errorf("at %s after the delete: %v", at.cfg.Name, err)
			}
		}
	}
}

func TestAServerThatIsStoppedAtOnceEndsWell(t *testing.T) {
	for range 5 {
		mustStart(t, testConfig(t)).stop(t)
	}
}
