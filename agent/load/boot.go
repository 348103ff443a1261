package load

import (
	"os"
	"strings"
)

// BootID returns the id of the machine's present boot; empty when the kernel
// does not tell.
func BootID() string {
	content, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(content))
}
