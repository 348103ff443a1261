package argosyv1

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// An incarnation is one life of a cluster: "<n>-<8 hex digits>", empty in the
// first. A recovery from the loss of a quorum begins the next one. n tells
// which is newer; the digits tell two recoveries apart that were made of two
// survivors, each of which believed to be the only one.

var incarnationForm = regexp.MustCompile(`^[1-9][0-9]{0,8}-[0-9a-f]{8}$`)

// CheckIncarnation says what is wrong with the text of an incarnation.
func CheckIncarnation(text string) error {
	if text == "" || incarnationForm.MatchString(text) {
		return nil
	}
	return fmt.Errorf("incarnation %q has not the form <number>-<8 hexadecimal digits>", text)
}

// NextIncarnation makes the one after an incarnation.
func NextIncarnation(after string) (string, error) {
	if err := CheckIncarnation(after); err != nil {
		return "", err
	}
	digits := make([]byte, 4)
	// It fails only when the system has no randomness, and ends the process then.
	_, _ = rand.Read(digits)
	next := fmt.Sprintf("%d-%s", IncarnationNumber(after)+1, hex.EncodeToString(digits))
	return next, CheckIncarnation(next)
}

// IncarnationNumber returns the number of an incarnation, 0 for the first one
// and for a text that is none.
func IncarnationNumber(text string) uint64 {
	number, _, _ := strings.Cut(text, "-")
	n, err := strconv.ParseUint(number, 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// DescribeIncarnation names an incarnation for people.
func DescribeIncarnation(text string) string {
	if text == "" {
		return "the first one"
	}
	return text
}
