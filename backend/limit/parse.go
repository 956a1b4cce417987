package limit

import (
	"bytes"
	"fmt"
)

// ParserError reports that a text is not parsed, or that a library's parser panicked.
type ParserError struct{ Msg string }

func (e *ParserError) Error() string { return e.Msg }

// Nesting bounds of YAML texts. The memory of goccy/go-yaml 1.19 grows with the square of
// the depth: 2.6 GB for 50,000 open brackets. Recipes and settings have more room than
// Lima's files, since they hold scripts, whose brackets are counted too.
const (
	LimaDepth = 100
	TextDepth = 1000
)

// Parse calls parse, which parses the YAML text data with a library, and returns its
// error. It returns a *ParserError for a text that is nested deeper than maxDepth, and
// for a panic: goccy/go-yaml 1.19 panics on some invalid texts.
func Parse(data []byte, maxDepth int, parse func() error) (err error) {
	if n := depth(data); n > maxDepth {
		return &ParserError{fmt.Sprintf("is not accepted: its YAML is nested %d levels deep, at most %d are allowed", n, maxDepth)}
	}
	defer func() {
		if r := recover(); r != nil {
			err = &ParserError{fmt.Sprintf("is not valid YAML, and the parser cannot say where (%v): one cause is a tag, which begins with an exclamation mark, without a value", r)}
		}
	}()
	return parse()
}

// depth returns an upper bound of the nesting of a YAML text: brackets that are open at
// once, and blocks, each of which is indented further or begins with a dash. It counts
// brackets in strings too.
func depth(b []byte) int {
	most, open := 0, 0
	for _, line := range bytes.Split(b, []byte("\n")) {
		start := 0
		for _, c := range line {
			if c != ' ' && c != '-' && c != '?' {
				break
			}
			start++
		}
		most = max(most, start/2)
		for _, c := range line {
			switch c {
			case '[', '{':
				open++
				most = max(most, open)
			case ']', '}':
				open = max(0, open-1)
			}
		}
	}
	return most
}
