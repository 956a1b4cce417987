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
	"github.com/goccy/go-yaml/parser"
)

// Error is a mistake in a recipe or lock: where it stands, which key, what is
// wrong and what would be accepted.
type Error struct {
	File string
	Line int // 1-based; 0 when the key is absent
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

// decodeStrict decodes data over v, which may already hold a base's values.
func decodeStrict(file string, data []byte, v any) error {
	err := yaml.NewDecoder(bytes.NewReader(data), yaml.DisallowUnknownField()).Decode(v)
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

// positioned makes an Error at the line of the YAML path in data.
func positioned(file string, data []byte, path, key, msg string) *Error {
	e := &Error{File: file, Key: key, Msg: msg}
	f, err := parser.ParseBytes(data, 0)
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

// Accepted values, also shown by messages.
var (
	arches  = []string{"arm64", "amd64"}
	oses    = []string{"debian"}
	formats = []string{"qcow2", "raw", "tar.zst"}
	namePat = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,62}$`)
	modePat = regexp.MustCompile(`^0?[0-7]{3}$`)
)

// problem is one failed check before it has a place in a file.
type problem struct{ path, key, msg string }

func oneOf(path, key, got string, want []string) []problem {
	if slices.Contains(want, got) {
		return nil
	}
	return []problem{{path, key, fmt.Sprintf("%q is not known; accepted: %s", got, strings.Join(want, ", "))}}
}

func required(path, key string, empty bool) []problem {
	if !empty {
		return nil
	}
	return []problem{{path, key, "is required and missing or empty"}}
}

// validate lists what is wrong with a resolved recipe.
func (r Recipe) validate() []problem {
	var ps []problem
	ps = append(ps, oneOf("$.apiVersion", "apiVersion", r.APIVersion, []string{APIVersion})...)
	ps = append(ps, oneOf("$.kind", "kind", r.Kind, []string{"Target"})...)
	if !namePat.MatchString(r.Name) {
		ps = append(ps, problem{"$.name", "name", fmt.Sprintf("%q is no target name; accepted: lower-case letters, digits, dots and dashes", r.Name)})
	}
	ps = append(ps, oneOf("$.os", "os", r.OS, oses)...)
	ps = append(ps, oneOf("$.arch", "arch", r.Arch, arches)...)
	ps = append(ps, required("$.release", "release", r.Release == "")...)
	ps = append(ps, required("$.variant", "variant", r.Variant == "")...)
	ps = append(ps, required("$.kernel.sourcePackage", "kernel.sourcePackage", r.Kernel.SourcePackage == "")...)
	ps = append(ps, required("$.kernel.configs", "kernel.configs", len(r.Kernel.Configs) == 0)...)
	ps = append(ps, required("$.kernel.image", "kernel.image", r.Kernel.Image == "")...)
	ps = append(ps, required("$.rootfs.packages", "rootfs.packages", len(r.Rootfs.Packages) == 0)...)
	ps = append(ps, required("$.archives", "archives", len(r.Archives) == 0)...)
	ps = append(ps, required("$.disk.loader", "disk.loader", r.Disk.Loader == "")...)
	ps = append(ps, r.validateArchives()...)
	ps = append(ps, r.validateFiles()...)
	ps = append(ps, r.validateDisk()...)
	return ps
}

func (r Recipe) validateArchives() (ps []problem) {
	for i, a := range r.Archives {
		at := fmt.Sprintf("$.archives[%d]", i)
		key := fmt.Sprintf("archives[%d]", i)
		switch u, err := url.Parse(a.URI); {
		case err == nil && u.User != nil: // and the problem does not repeat it
			ps = append(ps, problem{at + ".uri", key + ".uri", "the address holds a user, and stands in the image and its evidence, for all to read; accepted: a public archive, of which config.yaml may name another mirror"})
		case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
			ps = append(ps, problem{at + ".uri", key + ".uri", fmt.Sprintf("%q is no archive address; accepted: http:// or https://", a.URI)})
		}
		ps = append(ps, required(at, key+".name", a.Name == "")...)
		ps = append(ps, required(at, key+".suites", len(a.Suites) == 0)...)
		ps = append(ps, required(at, key+".keyring", a.Keyring == "")...)
	}
	return ps
}

func (r Recipe) validateFiles() (ps []problem) {
	for i, f := range r.Rootfs.Files {
		at, key := fmt.Sprintf("$.rootfs.files[%d].path", i), fmt.Sprintf("rootfs.files[%d].path", i)
		if !cleanAbs(f.Path) {
			ps = append(ps, problem{at, key, fmt.Sprintf("%q must be an absolute path inside the image, without ..", f.Path)})
		}
		if f.Mode != "" && !modePat.MatchString(f.Mode) {
			ps = append(ps, problem{fmt.Sprintf("$.rootfs.files[%d].mode", i), fmt.Sprintf("rootfs.files[%d].mode", i), fmt.Sprintf("%q is no file mode; accepted: octal like \"0644\"", f.Mode)})
		}
	}
	for i, l := range r.Rootfs.Links {
		if !cleanAbs(l.Path) {
			ps = append(ps, problem{fmt.Sprintf("$.rootfs.links[%d].path", i), fmt.Sprintf("rootfs.links[%d].path", i), fmt.Sprintf("%q must be an absolute path inside the image, without ..", l.Path)})
		}
	}
	return ps
}

func cleanAbs(p string) bool {
	return strings.HasPrefix(p, "/") && !slices.Contains(strings.Split(p, "/"), "..") && !strings.ContainsAny(p, "\n\"'`$\\")
}

func (r Recipe) validateDisk() (ps []problem) {
	if r.Disk.Size < r.Disk.ESP+(256<<20) {
		ps = append(ps, problem{"$.disk.size", "disk.size", fmt.Sprintf("%s leaves no room beside an ESP of %s; accepted: ESP + 256MiB or more", r.Disk.Size, r.Disk.ESP)})
	}
	if r.Disk.ESP < 34<<20 {
		ps = append(ps, problem{"$.disk.esp", "disk.esp", fmt.Sprintf("%s is too small for FAT32; accepted: 34MiB or more", r.Disk.ESP)})
	}
	ps = append(ps, required("$.export.formats", "export.formats", len(r.Export.Formats) == 0)...)
	for i, f := range r.Export.Formats {
		ps = append(ps, oneOf("$.export.formats["+strconv.Itoa(i)+"]", "export.formats", f, formats)...)
	}
	return ps
}
