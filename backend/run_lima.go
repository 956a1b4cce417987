package backend

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"ingot/backend/fetch"
	"ingot/backend/guest/lima"
	"ingot/backend/publish"
)

// RunLima makes a Lima instance of an artifact, pinned to its digest, starts it
// and returns its name once it is ready; "" for name takes the subject's. The
// instance stays: its disk is a copy of the artifact.
func (b *Backend) RunLima(ctx context.Context, o RunOptions, name string, said func(VMLine)) (string, error) {
	if o.Notify == nil {
		o.Notify = func(string) {}
	}
	a, err := b.startable(ctx, o)
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
		return "", &FileError{a.path, err}
	}
	text, err := runTemplate(a, sum, o.Memory)
	if err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp(b.Home.Cache, ".tmp-run-")
	if err != nil {
		return "", &FileError{b.Home.Cache, err}
	}
	template := filepath.Join(dir, "lima.yaml")
	err = os.WriteFile(template, text, 0o600)
	if err == nil {
		err = l.Create(ctx, name, template, said)
	}
	if err = errors.Join(err, os.RemoveAll(dir)); err != nil {
		return "", err
	}
	return name, l.Start(ctx, name, said)
}

// runTemplate is a release's template for a file here; memory in bytes, 0 leaves it
// to Lima.
func runTemplate(a startable, sum string, memory int64) ([]byte, error) {
	text, err := publish.LimaTemplate(a.path, a.arch, sum)
	if memory > 0 {
		text = fmt.Appendf(text, "memory: %dMiB\n", memory>>20)
	}
	return text, err
}

// notInNames is what Lima takes in no instance's name (pkg/identifiers).
var notInNames = regexp.MustCompile(`[^A-Za-z0-9]+`)

// maxInstance keeps the paths of Lima's sockets below 104 bytes.
const maxInstance = 30

// instanceName makes a name for an instance of a target's or a file's name.
func instanceName(subject string) string {
	base := filepath.Base(subject)
	base = strings.TrimSuffix(strings.TrimSuffix(base, ".qcow2"), ".raw")
	base = strings.Trim(notInNames.ReplaceAllString(base, "-"), "-")
	if base == "" {
		base = "ingot"
	}
	return strings.Trim(base[:min(len(base), maxInstance)], "-")
}
