package target

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// Size is a number of bytes, written as "64MiB" or "3GiB" in YAML.
type Size int64

var sizeUnits = []struct {
	suffix string
	factor int64
}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}}

// ParseSize parses "3GiB", "64MiB", "512KiB" or a plain number of bytes.
func ParseSize(s string) (Size, error) {
	for _, u := range sizeUnits {
		if num, ok := strings.CutSuffix(s, u.suffix); ok {
			n, err := strconv.ParseInt(strings.TrimSpace(num), 10, 40)
			if err != nil || n <= 0 {
				break
			}
			return Size(n * u.factor), nil
		}
	}
	if n, err := strconv.ParseInt(s, 10, 63); err == nil && n > 0 {
		return Size(n), nil
	}
	return 0, fmt.Errorf("%q is not a size: write it like 64MiB or 3GiB", s)
}

// UnmarshalYAML parses ParseSize's syntax.
func (s *Size) UnmarshalYAML(n ast.Node) error {
	v, err := ParseSize(scalar(n))
	if err != nil {
		return valueError(n, err)
	}
	*s = v
	return nil
}

// String formats the size in the largest unit that gives a whole number.
func (s Size) String() string {
	for _, u := range sizeUnits {
		if int64(s) >= u.factor && int64(s)%u.factor == 0 {
			return fmt.Sprintf("%d%s", int64(s)/u.factor, u.suffix)
		}
	}
	return strconv.FormatInt(int64(s), 10)
}

func scalar(n ast.Node) string { return strings.Trim(n.GetToken().Value, `"'`) }

// valueError returns an error with line and key of a value; decodeStrict adds the file.
func valueError(n ast.Node, err error) error {
	return &Error{Line: n.GetToken().Position.Line, Key: strings.TrimPrefix(n.GetPath(), "$."), Msg: err.Error()}
}
