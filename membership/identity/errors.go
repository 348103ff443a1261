package identity

import "errors"

var (
	// ErrIncomplete is returned when some but not all files were named.
	ErrIncomplete = errors.New("incomplete TLS files")
	// ErrPermissions is returned when others can read the key or write a file.
	ErrPermissions = errors.New("unsafe file permissions")
	// ErrMaterial is returned when a file does not hold what it should.
	ErrMaterial = errors.New("unusable TLS file")
	// ErrMismatch is returned when the key is not that of the certificate.
	ErrMismatch = errors.New("private key and certificate do not belong together")
	// ErrExpired is returned when the certificate is past its time.
	ErrExpired = errors.New("certificate has expired")
	// ErrNotYetValid is returned when the certificate's time has not come.
	ErrNotYetValid = errors.New("certificate is not valid yet")
	// ErrUntrusted is returned when the CA has not signed the certificate.
	ErrUntrusted = errors.New("certificate is not signed by the CA")
	// ErrUsage is returned when the certificate is not allowed for the purpose.
	ErrUsage = errors.New("certificate does not allow this use")
	// ErrName is returned when a certificate does not carry a name that it must.
	ErrName = errors.New("certificate does not carry the name")
	// ErrInsecureBind is returned when a reachable address would be served
	// without TLS.
	ErrInsecureBind = errors.New("refuse to serve without TLS")
)
