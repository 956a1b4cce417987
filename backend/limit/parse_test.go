package limit

import (
	"errors"
	"strings"
	"testing"
)

// A parser that panics is an error, and what is nested too deeply is not parsed.
func TestParse(t *testing.T) {
	var refused *ParserError
	if err := Parse([]byte("a: 1"), 10, func() error { panic("nil pointer") }); !errors.As(err, &refused) || !strings.Contains(err.Error(), "nil pointer") {
		t.Errorf("a panic: %v", err)
	}
	own := errors.New("line 3")
	if err := Parse([]byte("a: 1"), 10, func() error { return own }); !errors.Is(err, own) || errors.As(err, &refused) {
		t.Errorf("the parser's own error: %v", err)
	}
	for text, deep := range map[string]bool{strings.Repeat("[", 11): true, strings.Repeat("- ", 11) + "x": true, "a: [b, {c: d}]\n- [e]": false, strings.Repeat("[]", 50): false} {
		called := false
		err := Parse([]byte(text), 10, func() error { called = true; return nil })
		if errors.As(err, &refused) != deep || called == deep {
			t.Errorf("%.20q: %v, parsed: %v", text, err, called)
		}
	}
}
