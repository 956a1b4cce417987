package target

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"ingot/backend/cause"
	"ingot/backend/disk"
	"ingot/backend/limit"
)

// Error is a mistake in a recipe or lock: its position, its key, what is wrong and what
// is accepted.
type Error struct {
	File string
	Line int // 1-based; 0 if the key is absent
	Key  string
	Msg  string
}

func (e *Error) Error() string {
	where := e.File
	if e.Line > 0 {
		where = fmt.Sprintf("%s:%d", e.File, e.Line)
	}
	if e.Key == "" {
		return fmt.Sprintf("%s: %s", where, e.Msg)
	}
	return fmt.Sprintf("%s: key %q: %s", where, e.Key, e.Msg)
}

// CauseID returns the cause.
func (*Error) CauseID() string { return "config.invalid" }

// ErrorClass returns the class of the error; see package cause.
func (*Error) ErrorClass() cause.Class { return cause.Input }

// Errors are all mistakes of a recipe, in line order.
type Errors []*Error

func (e Errors) Error() string {
	texts := make([]string, len(e))
	for i, one := range e {
		texts[i] = one.Error()
	}
	return strings.Join(texts, "\n")
}

// Unwrap returns the mistakes.
func (e Errors) Unwrap() []error {
	out := make([]error, len(e))
	for i, one := range e {
		out[i] = one
	}
	return out
}

// mistakes returns nil, the only mistake, or all as Errors.
func mistakes(list []*Error) error {
	switch len(list) {
	case 0:
		return nil
	case 1:
		return list[0]
	}
	slices.SortStableFunc(list, func(a, b *Error) int { return a.Line - b.Line })
	return Errors(list)
}

// decodeStrict decodes data into v and refuses keys that v does not have.
func decodeStrict(file string, data []byte, v any) error {
	if err := decode(file, data, v, yaml.DisallowUnknownField()); err != nil {
		return err
	}
	return nil
}

// decode decodes data into v, which may already hold the values of a base recipe.
func decode(file string, data []byte, v any, opts ...yaml.DecodeOption) *Error {
	err := limit.Parse(data, limit.TextDepth, func() error { return yaml.NewDecoder(bytes.NewReader(data), opts...).Decode(v) })
	if err == nil || errors.Is(err, io.EOF) && len(bytes.TrimSpace(data)) > 0 {
		return nil
	}
	if errors.Is(err, io.EOF) {
		return &Error{File: file, Msg: "the file is empty"}
	}
	var value *Error
	if errors.As(err, &value) {
		value.File = file
		return value
	}
	out := &Error{File: file, Msg: firstLine(err)}
	var yerr yaml.Error
	if errors.As(err, &yerr) {
		out.Msg = yerr.GetMessage()
		if tok := yerr.GetToken(); tok != nil {
			out.Line = tok.Position.Line
			out.Key = strings.Trim(tok.Value, `"'`)
		}
	}
	var unknown *yaml.UnknownFieldError
	if errors.As(err, &unknown) {
		out.Msg = "no such key here; `ingot target show NAME` prints every key of a recipe"
	}
	return out
}

var positionPrefix = regexp.MustCompile(`^\[(\d+):\d+\] `)

func firstLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return positionPrefix.ReplaceAllString(line, "")
}

// parsed returns the tree of a YAML text.
func parsed(data []byte) (f *ast.File, err error) {
	err = limit.Parse(data, limit.TextDepth, func() (err error) {
		f, err = parser.ParseBytes(data, 0)
		return err
	})
	return f, err
}

// positioned returns an Error at the line of the YAML path in data.
func positioned(file string, data []byte, path, key, msg string) *Error {
	e := &Error{File: file, Key: key, Msg: msg}
	f, err := parsed(data)
	if err != nil {
		return e
	}
	p, err := yaml.PathString(path)
	if err != nil {
		return e
	}
	if node, err := p.FilterFile(f); err == nil && node != nil {
		e.Line = node.GetToken().Position.Line
	}
	return e
}

// Accepted values, also used in messages.
var (
	arches  = []string{"arm64", "amd64"}
	namePat = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,62}$`)
	modePat = regexp.MustCompile(`^0?[0-7]{3}$`)
)

// Problem is a mistake of a recipe without its position in a file: the YAML path of the
// value ("$.rootfs.packages"), the key for the message, and a message that says what is
// accepted.
type Problem struct{ Path, Key, Msg string }

// OneOf returns a problem if got is not in want.
func OneOf(path, key, got string, want []string) []Problem {
	if slices.Contains(want, got) {
		return nil
	}
	return []Problem{{path, key, fmt.Sprintf("%q is not known; accepted: %s", got, strings.Join(want, ", "))}}
}

// Required returns a problem if the key's value is empty.
func Required(path, key string, empty bool) []Problem {
	if !empty {
		return nil
	}
	return []Problem{{path, key, "is required and missing or empty"}}
}

// FamilyCheck returns the mistakes of a composed recipe that depend on the family of
// its system, or one mistake if no family has the system. This package cannot import
// the families: callers of Load pass all.Check of package family/all.
type FamilyCheck func(Recipe) []Problem

// validate returns the problems of a resolved recipe.
func (r Recipe) validate(check FamilyCheck) []Problem {
	var ps []Problem
	ps = append(ps, OneOf("$.apiVersion", "apiVersion", r.APIVersion, []string{APIVersion})...)
	ps = append(ps, OneOf("$.kind", "kind", r.Kind, []string{"Target"})...)
	if !namePat.MatchString(r.Name) {
		ps = append(ps, Problem{"$.name", "name", fmt.Sprintf("%q is not a target name; accepted: lower-case letters, digits, dots and dashes", r.Name)})
	}
	ps = append(ps, OneOf("$.arch", "arch", r.Arch, arches)...)
	ps = append(ps, Required("$.release", "release", r.Release == "")...)
	ps = append(ps, Required("$.variant", "variant", r.Variant == "")...)
	ps = append(ps, r.validateStrategy()...)
	if r.How() == Compose {
		ps = append(ps, check(r)...)
		ps = append(ps, r.validateCompose()...)
	}
	ps = append(ps, r.validateFormats()...)
	return ps
}

// validateCompose checks the keys of the strategy compose that do not depend on the
// family.
func (r Recipe) validateCompose() (ps []Problem) {
	ps = append(ps, r.validateArchives()...)
	ps = append(ps, r.validateFiles()...)
	return ps
}

func (r Recipe) validateArchives() (ps []Problem) {
	for i, a := range r.Archives {
		at := fmt.Sprintf("$.archives[%d]", i)
		key := fmt.Sprintf("archives[%d]", i)
		switch u, err := url.Parse(a.URI); {
		case err == nil && u.User != nil: // the problem does not repeat it
			ps = append(ps, Problem{at + ".uri", key + ".uri", "the address contains a user name, and it would be public in the image and its evidence; accepted: a public archive; config.yaml may set a mirror for it"})
		case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
			ps = append(ps, Problem{at + ".uri", key + ".uri", fmt.Sprintf("%q is not an archive address; accepted: http:// or https://", a.URI)})
		}
		ps = append(ps, Required(at, key+".name", a.Name == "")...)
		ps = append(ps, Required(at, key+".suites", len(a.Suites) == 0)...)
		ps = append(ps, Required(at, key+".keyring", a.Keyring == "")...)
	}
	return ps
}

func (r Recipe) validateFiles() (ps []Problem) {
	ps = filesProblems("rootfs.files", r.Rootfs.Files)
	for i, l := range r.Rootfs.Links {
		if !cleanAbs(l.Path) {
			ps = append(ps, Problem{fmt.Sprintf("$.rootfs.links[%d].path", i), fmt.Sprintf("rootfs.links[%d].path", i), fmt.Sprintf("%q must be an absolute path inside the image, without ..", l.Path)})
		}
	}
	return ps
}

// filesProblems checks the list of files at the key.
func filesProblems(key string, files []File) (ps []Problem) {
	for i, f := range files {
		at := fmt.Sprintf("%s[%d]", key, i)
		if !cleanAbs(f.Path) {
			ps = append(ps, Problem{"$." + at + ".path", at + ".path", fmt.Sprintf("%q must be an absolute path inside the image, without ..", f.Path)})
		}
		if f.Mode != "" && !modePat.MatchString(f.Mode) {
			ps = append(ps, Problem{"$." + at + ".mode", at + ".mode", fmt.Sprintf("%q is not a file mode; accepted: octal like \"0644\"", f.Mode)})
		}
	}
	return ps
}

func cleanAbs(p string) bool {
	return strings.HasPrefix(p, "/") && !slices.Contains(strings.Split(p, "/"), "..") && !strings.ContainsAny(p, "\n\"'`$\\")
}

func (r Recipe) validateFormats() (ps []Problem) {
	ps = append(ps, Required("$.export.formats", "export.formats", len(r.Export.Formats) == 0)...)
	for i, f := range r.Export.Formats {
		ps = append(ps, OneOf("$.export.formats["+strconv.Itoa(i)+"]", "export.formats", f, disk.FormatNames())...)
	}
	return ps
}
