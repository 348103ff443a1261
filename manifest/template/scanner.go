package template

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// scanner reads the words of one tag.
type scanner struct {
	*parser
	pos int
	// tag is where the tag begins.
	tag int
}

func (s *scanner) rest() string { return s.text[s.pos:] }

func (s *scanner) space() {
	for s.pos < len(s.text) && strings.IndexByte(" \t\r\n", s.text[s.pos]) >= 0 {
		s.pos++
	}
}

// take moves behind a word if that comes next.
func (s *scanner) take(word string) bool {
	ok := strings.HasPrefix(s.rest(), word)
	if ok {
		s.pos += len(word)
	}
	return ok
}

// at tells whether a whole word comes next.
func (s *scanner) at(word string) bool {
	return strings.HasPrefix(s.rest(), word) && !nameAt(s.text, s.pos+len(word)) && !separatorAt(s.text, s.pos+len(word))
}

// keyword moves behind a whole word if that comes next.
func (s *scanner) keyword(word string) bool { return s.at(word) && s.take(word) }

// atEnd tells whether the tag ends here, as far as one can tell.
func (s *scanner) atEnd() bool {
	rest := s.rest()
	return strings.HasPrefix(rest, "}") || strings.HasPrefix(rest, "~")
}

// nameAt tells whether a character of a name is at an offset.
func nameAt(text string, i int) bool {
	if i >= len(text) {
		return false
	}
	c := text[i]
	return c >= utf8.RuneSelf || c == '-' || c == '_' || c == '$' ||
		'0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

func separatorAt(text string, i int) bool { return i < len(text) && (text[i] == '.' || text[i] == '/') }

// identifier reads a name; it is empty if none comes next.
func (s *scanner) identifier() string {
	from := s.pos
	for nameAt(s.text, s.pos) {
		s.pos++
	}
	return s.text[from:s.pos]
}

// unexpected says what should come next.
func (s *scanner) unexpected(wanted string) error {
	if s.rest() == "" {
		return s.fail(s.tag, "the tag that begins here has no end: add }}")
	}
	_, n := utf8.DecodeRuneInString(s.rest())
	return s.fail(s.pos, `%s is missing before %s; for braces that are no template write \{{`, wanted, quote(s.rest()[:n]))
}

// numberAt reads a number that a text begins with; n is 0 if it does not.
func numberAt(s string) (v Value, n int) {
	for nameAt(s, n) || n < len(s) && s[n] == '.' {
		n++
	}
	if v = number(s[:n]); v == nil {
		return nil, 0
	}
	return v, n
}

// maxNumber is the longest text that is taken for a number, in bytes.
const maxNumber = 64

// number reads a text that is a number as JSON writes it; nil if it is none.
func number(s string) Value {
	if len(s) > maxNumber || !jsonNumber(s) {
		return nil
	}
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return integer(n)
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return nil
	}
	return float(f)
}

func jsonNumber(s string) bool {
	s = strings.TrimPrefix(s, "-")
	whole, s := digits(s)
	if whole == "" || len(whole) > 1 && whole[0] == '0' {
		return false
	}
	if after, ok := strings.CutPrefix(s, "."); ok {
		var fraction string
		if fraction, s = digits(after); fraction == "" {
			return false
		}
	}
	if s != "" && (s[0] == 'e' || s[0] == 'E') {
		if s = s[1:]; s != "" && (s[0] == '-' || s[0] == '+') {
			s = s[1:]
		}
		var exponent string
		if exponent, s = digits(s); exponent == "" {
			return false
		}
	}
	return s == ""
}

// digits cuts the digits off the front of a text.
func digits(s string) (digits, rest string) {
	n := 0
	for n < len(s) && '0' <= s[n] && s[n] <= '9' {
		n++
	}
	return s[:n], s[n:]
}

// quoted reads a text in quotes, with the escapes of JSON.
func (s *scanner) quoted(quote byte) (operand, error) {
	at := s.pos
	var out []byte
	for s.pos++; s.pos < len(s.text); {
		c := s.text[s.pos]
		s.pos++
		switch c {
		case quote:
			return literal{Text(out), at}, nil
		case '\\':
			r, n := escape(s.rest(), quote)
			if n == 0 {
				return nil, s.fail(s.pos-1, `unknown escape in a quoted text: known are \\ \/ \b \f \n \r \t \uXXXX and \%c`, quote)
			}
			out = utf8.AppendRune(out, r)
			s.pos += n
		default:
			out = append(out, c)
		}
	}
	return nil, s.fail(at, "the quoted text that begins here has no end: add %c", quote)
}

// escape reads what follows a backslash in a quoted text, and how long it is.
func escape(rest string, quote byte) (r rune, n int) {
	if rest == "" {
		return 0, 0
	}
	switch c := rest[0]; c {
	case quote, '\\', '/':
		return rune(c), 1
	case 'u':
		if len(rest) < 5 {
			return 0, 0
		}
		code, err := strconv.ParseUint(rest[1:5], 16, 16)
		if err != nil {
			return 0, 0
		}
		return rune(code), 5
	default:
		if i := strings.IndexByte("bfnrt", c); i >= 0 {
			return rune("\b\f\n\r\t"[i]), 1
		}
	}
	return 0, 0
}
