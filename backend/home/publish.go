package home

import (
	"bytes"
	"fmt"
	"reflect"
	"regexp"
	"strings"

	"github.com/goccy/go-yaml"
)

// SetPublish writes the key publish into config.yaml, which is made if it is missing:
// where releases go. An empty endpoint removes the key: releases go to the local store.
// Lines outside the key stay as they are. A key that has comments is not written over,
// and a text that would mean anything else afterwards is not written either: both are a
// *ConfigError, and the file is left alone.
func (h Home) SetPublish(p PublishConfig) error {
	file := h.ConfigFile()
	text, err := h.readConfig()
	if err != nil {
		return err
	}
	want, err := parseConfig(file, text)
	if err != nil {
		return fmt.Errorf("the destination was not set, since config.yaml has a mistake: correct it first: %w", err)
	}
	if reflect.DeepEqual(want.Publish, p) {
		return nil
	}
	want.Publish = p
	if err := want.check(file); err != nil {
		return err
	}
	changed, err := withPublish(file, text, p)
	if err != nil {
		return err
	}
	if got, err := parseConfig(file, changed); err != nil || !reflect.DeepEqual(got, want) {
		return &ConfigError{file, "key publish: it cannot be set without changing other lines: open the file, and write it there"}
	}
	return ReplaceText(file, changed)
}

// publishKey matches the beginning of the key publish; marginLine that of any line at the
// margin that is not a comment.
var (
	publishKey = regexp.MustCompile(`(?m)^(?:publish|"publish"|'publish')[ \t]*:`)
	marginLine = regexp.MustCompile(`(?m)^[^\s#]`)
)

// withPublish returns the text with another publish: in the place of the first one, or at
// the end.
func withPublish(file string, text []byte, p PublishConfig) ([]byte, error) {
	block, err := publishBlock(p)
	if err != nil {
		return nil, err
	}
	at := publishKey.FindIndex(text)
	if at == nil {
		out := bytes.Clone(text)
		if len(out) > 0 && !bytes.HasSuffix(out, []byte("\n")) {
			out = append(out, '\n')
		}
		return append(out, block...), nil
	}
	end := len(text)
	if next := marginLine.FindIndex(text[at[1]:]); next != nil {
		end = at[1] + next[0]
	}
	old := text[at[0]:end]
	// blank lines and comments at the margin after the key belong to what follows
	for {
		cut := bytes.LastIndexByte(bytes.TrimSuffix(old, []byte("\n")), '\n') + 1
		last := bytes.TrimRight(old[cut:], "\r\n")
		if cut == 0 || len(bytes.TrimSpace(last)) > 0 && last[0] != '#' {
			break
		}
		old = old[:cut]
	}
	if bytes.Contains(old, []byte("#")) {
		return nil, &ConfigError{file, "key publish: it has comments, which would be lost: open the file, and write it there"}
	}
	return bytes.Join([][]byte{text[:at[0]], block, text[at[0]+len(old):]}, nil), nil
}

// publishBlock is the key publish as text; "" for the local store.
func publishBlock(p PublishConfig) ([]byte, error) {
	if p == (PublishConfig{}) {
		return nil, nil
	}
	var b strings.Builder
	b.WriteString("publish:\n")
	v := reflect.ValueOf(p)
	for i := range v.NumField() {
		if v.Field(i).IsZero() {
			continue
		}
		value, err := yaml.Marshal(v.Field(i).Interface())
		if err != nil {
			return nil, fmt.Errorf("publish: %w", err)
		}
		fmt.Fprintf(&b, "  %s: %s\n", v.Type().Field(i).Tag.Get("yaml"), bytes.TrimSpace(value))
	}
	return []byte(b.String()), nil
}
