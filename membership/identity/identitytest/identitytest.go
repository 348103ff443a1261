// Package identitytest gives tests certificates of an authority of their own.
//
// The invariant it protects: what it hands out was issued for this test alone,
// so that no test depends on files in the repository that expire one day.
package identitytest

import (
	"cmp"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/argosy-cluster/argosy/membership/identity"
	"github.com/argosy-cluster/argosy/membership/identity/authority"
)

// CA is an authority that fails the test when it cannot issue.
type CA struct {
	*authority.Authority
	issued atomic.Int64
}

// NewCA makes an authority for one test.
func NewCA(t testing.TB) *CA {
	t.Helper()
	made, err := authority.New("CA of " + t.Name())
	if err != nil {
		t.Fatalf("make CA: %v", err)
	}
	return &CA{Authority: made}
}

// Issue writes the files of an identity with these DNS names into dir, a
// directory of the test's own when it is empty. The first name is the common
// name as well.
func (ca *CA) Issue(t testing.TB, dir string, dnsNames ...string) identity.Files {
	t.Helper()
	request := authority.Request{DNSNames: dnsNames}
	if len(dnsNames) > 0 {
		request.CommonName = dnsNames[0]
	}
	return ca.IssueRequest(t, dir, request)
}

// IssueRequest is Issue with everything that a request may say.
func (ca *CA) IssueRequest(t testing.TB, dir string, request authority.Request) identity.Files {
	t.Helper()
	if dir == "" {
		dir = t.TempDir()
	}
	name := fmt.Sprintf("%s-%d", cmp.Or(request.CommonName, "nameless"), ca.issued.Add(1))
	files, err := ca.WriteFiles(dir, name, request)
	if err != nil {
		t.Fatalf("issue certificate: %v", err)
	}
	return files
}

// Identity issues and loads an identity with these DNS names.
func (ca *CA) Identity(t testing.TB, dnsNames ...string) *identity.Identity {
	t.Helper()
	loaded, err := identity.Load(ca.Issue(t, "", dnsNames...))
	if err != nil {
		t.Fatalf("load identity: %v", err)
	}
	return loaded
}
