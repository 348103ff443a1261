package membership

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"

	"github.com/hashicorp/memberlist"
)

// loadKeyring reads a file as Serf and Consul write it: a JSON list of AES keys
// of 16, 24 or 32 bytes in base64. The first one encrypts, all of them decrypt:
// a key is replaced by adding the new one at the end on every node, then moving
// it to the front, then removing the old one.
func loadKeyring(path string) (*memberlist.Keyring, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKeyring, err)
	}
	if mode := info.Mode().Perm(); mode != 0o600 && mode != 0o400 {
		return nil, fmt.Errorf("%w: %s has mode %04o, must be 0600 or 0400: run chmod 600 %s", ErrKeyring, path, mode, path)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKeyring, err)
	}
	var encoded []string
	if err := json.Unmarshal(data, &encoded); err != nil {
		return nil, fmt.Errorf("%w: %s is not a JSON list of base64 keys: %w", ErrKeyring, path, err)
	}
	if len(encoded) == 0 {
		return nil, fmt.Errorf("%w: %s holds no key: remove it from the flags to gossip in the clear", ErrKeyring, path)
	}
	keys := make([][]byte, len(encoded))
	for i, text := range encoded {
		if keys[i], err = base64.StdEncoding.DecodeString(text); err != nil {
			// The cause is left out: it may quote the key.
			return nil, fmt.Errorf("%w: key %d in %s is not base64", ErrKeyring, i+1, path)
		}
		if err := memberlist.ValidateKey(keys[i]); err != nil {
			return nil, fmt.Errorf("%w: key %d in %s has %d bytes, must have 16, 24 or 32",
				ErrKeyring, i+1, path, len(keys[i]))
		}
	}
	keyring, err := memberlist.NewKeyring(keys, keys[0])
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrKeyring, path, err)
	}
	return keyring, nil
}
