package home

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"regexp"

	"github.com/goccy/go-yaml"
)

// SetGuest writes `guest: NAME` into config.yaml, which is made if it is missing. All
// other bytes of the file stay as they are: goccy/go-yaml v1.19 can keep comments when it
// writes a file, but not blank lines and quotes. The new text is parsed before it is
// written; if it means anything else than the old one with the other guest, the file is
// left alone and the error is a *ConfigError. Whether there is such a guest is checked by
// the caller.
func (h Home) SetGuest(name string) error {
	file := h.ConfigFile()
	text, err := h.readConfig()
	if err != nil {
		return err
	}
	want, err := parseConfig(file, text)
	if err != nil {
		return fmt.Errorf("guest %s was not set, since config.yaml has a mistake: correct it first: %w", name, err)
	}
	if want.Guest == name {
		return nil
	}
	want.Guest = name
	changed, err := withGuest(text, name)
	if err != nil {
		return err
	}
	if got, err := parseConfig(file, changed); err != nil || !reflect.DeepEqual(got, want) {
		return &ConfigError{file, fmt.Sprintf("key guest: it cannot be set without changing other lines: open the file, and write `guest: %s` in a line of its own that begins at the margin", name)}
	}
	return ReplaceText(file, changed)
}

// guestLine matches the line of the key guest, if its value is in the same line: the key,
// the value, and a comment with the spaces before it. A block scalar, an anchor or a
// value that goes on in the next line is found out by parsing the result.
var guestLine = regexp.MustCompile(`(?m)^((?:guest|"guest"|'guest')[ \t]*:)(?:[ \t]+(?:"(?:[^"\\\r\n]|\\.)*"|'(?:[^'\r\n]|'')*'|[^\s#"'][^\r\n]*?))?((?:[ \t]+#[^\r\n]*)?[ \t]*\r?)$`)

// withGuest returns the text with another guest: in the place of the first one, or in a
// new last line.
func withGuest(text []byte, name string) ([]byte, error) {
	quoted, err := yaml.Marshal(name)
	if err != nil {
		return nil, fmt.Errorf("guest %q: %w", name, err)
	}
	value := bytes.TrimSpace(quoted)
	if at := guestLine.FindSubmatchIndex(text); at != nil {
		_, keyEnd, comment := at[2], at[3], at[4]
		return bytes.Join([][]byte{text[:keyEnd], []byte(" "), value, text[comment:]}, nil), nil
	}
	end := "\n"
	if bytes.Contains(text, []byte("\r\n")) {
		end = "\r\n"
	}
	out := bytes.Clone(text)
	if len(out) > 0 && !bytes.HasSuffix(out, []byte("\n")) {
		out = append(out, end...)
	}
	return append(out, "guest: "+string(value)+end...), nil
}

// ReplaceText replaces the text of a file of the user's, which may be missing, and keeps its
// mode. A symbolic link stays: the file that it names is replaced.
func ReplaceText(file string, text []byte) error {
	mode := os.FileMode(0o600)
	real, err := filepath.EvalSymlinks(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		real = file
	case err != nil:
		return fmt.Errorf("config: %w", err)
	default:
		info, err := os.Stat(real)
		if err != nil {
			return fmt.Errorf("config: %w", err)
		}
		mode = info.Mode().Perm()
	}
	if err := WriteFileAtomic(real, text, mode); err != nil {
		return fmt.Errorf("config: %w", err)
	}
	return nil
}
