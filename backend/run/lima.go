package run

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"ingot/backend"
	"ingot/backend/disk"
	"ingot/backend/fetch"
	"ingot/backend/guest/lima"
	"ingot/backend/publish"
)

// Lima creates a Lima instance from an artifact, pinned to its digest, starts
// it, and returns its name when it is ready. If name is "", it is derived from
// the subject. The instance is not removed: its disk is a copy of the artifact.
// output receives limactl's messages.
func Lima(ctx context.Context, b *backend.Backend, o Options, name string, output func(lima.Line)) (string, error) {
	if o.Notify == nil {
		o.Notify = func(string) {}
	}
	a, err := findDisk(ctx, b, o)
	if err != nil {
		return "", err
	}
	if name == "" {
		name = instanceName(o.Subject)
	}
	l, err := lima.Find(ctx, lima.Store{})
	if err != nil {
		return "", err
	}
	sum, err := fetch.Digest(a.path)
	if err != nil {
		return "", &backend.FileError{File: a.path, Err: err}
	}
	text, err := runTemplate(a, sum, o.Memory)
	if err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp(b.Home.Cache, ".tmp-run-")
	if err != nil {
		return "", &backend.FileError{File: b.Home.Cache, Err: err}
	}
	template := filepath.Join(dir, "lima.yaml")
	err = os.WriteFile(template, text, 0o600)
	if err == nil {
		err = l.Create(ctx, name, template, output)
	}
	if err = errors.Join(err, os.RemoveAll(dir)); err != nil {
		return "", err
	}
	return name, l.Start(ctx, name, output)
}

// runTemplate returns a Lima template for a local file. memory is in bytes; 0
// means Lima's default.
func runTemplate(a startable, sum string, memory int64) ([]byte, error) {
	text, err := publish.LimaTemplate(a.path, a.arch, sum)
	if memory > 0 {
		text = fmt.Appendf(text, "memory: %dMiB\n", memory>>20)
	}
	return text, err
}

// notInNames matches characters that Lima does not accept in an instance's name
// (pkg/identifiers).
var notInNames = regexp.MustCompile(`[^A-Za-z0-9]+`)

// maxInstance limits the length of an instance's name, so that the paths of
// Lima's sockets stay below 104 bytes.
const maxInstance = 30

// instanceName derives an instance's name from that of a target or file.
func instanceName(subject string) string {
	base := filepath.Base(subject)
	for _, f := range disk.Formats {
		base = strings.TrimSuffix(base, "."+f.Extension)
	}
	base = strings.Trim(notInNames.ReplaceAllString(base, "-"), "-")
	if base == "" {
		base = "ingot"
	}
	return strings.Trim(base[:min(len(base), maxInstance)], "-")
}
