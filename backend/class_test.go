package backend

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
	"testing"

	"ingot/backend/api"
	"ingot/backend/build"
	"ingot/backend/build/release"
	"ingot/backend/cause"
	"ingot/backend/disk"
	"ingot/backend/evidence"
	"ingot/backend/family"
	"ingot/backend/guest"
	"ingot/backend/guest/lima"
	"ingot/backend/home"
	"ingot/backend/publish"
	"ingot/backend/qemu"
	"ingot/backend/target"
)

// The class of an error is that of the fact behind it, however it is wrapped.
func TestClassOf(t *testing.T) {
	step := func(err error) error { return fmt.Errorf("kernel step: %w", err) }
	firmware := &qemu.FirmwareMissingError{Arch: "arm64"}
	full := &os.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC}
	for name, c := range map[string]struct {
		err  error
		want api.Class
	}{
		"firmware":               {step(cause.With("qemu.firmware-missing", firmware)), api.ClassMissing},
		"disk full in a step":    {step(full), api.ClassMissing},
		"disk full in a guest":   {step(cause.With("guest.no-space", errors.New("tar: No space left on device"))), api.ClassMissing},
		"disk full at the start": {step(&home.NoSpaceError{}), api.ClassMissing},
		"tools":                  {step(&family.MissingToolsError{}), api.ClassMissing},
		"no emulator":            {step(cause.With("qemu.binary-missing", &home.ToolMissingError{})), api.ClassMissing},
		"fragment":               {step(cause.With("config.invalid", fs.ErrNotExist)), api.ClassInput},
		"recipe":                 {&target.Error{}, api.ClassInput},
		"file":                   {&FileError{"x", cause.With("image.missing", fs.ErrNotExist)}, api.ClassInput},
		"compiler":               {step(cause.With("kernel.build-failed", errors.New("x"))), api.ClassStep},
		"gone artifact":          {step(cause.With("image.missing", fs.ErrNotExist)), api.ClassStep},
		"storage full":           {step(&publish.Error{Cause: "publish.no-space", Err: full}), api.ClassPublish},
		"does not boot":          {&build.NotProvenError{Proof: evidence.Proof{Head: evidence.Head{Cause: "kernel.no-root"}}}, api.ClassUnproven},
		"guest lost":             {step(&guest.LostError{Guest: "lima:x", Err: io.EOF}), api.ClassStep},
		"no such instance":       {&lima.NotFoundError{Name: "x"}, api.ClassInput},
		"instance does not run":  {fmt.Errorf("guest x: %w", &lima.Error{ID: "lima.not-running"}), api.ClassInput},
		"limactl is old":         {&lima.Error{ID: "lima.too-old"}, api.ClassMissing},
		"limactl hangs":          {&lima.Error{ID: "lima.hangs"}, api.ClassOther},
		"leak":                   {step(&release.LeakError{}), api.ClassVerify},
		"disk in use":            {disk.WithCause(fmt.Errorf("open: %w", disk.ErrInUse)), api.ClassInUse},
		"no backing file":        {disk.WithCause(fmt.Errorf("open: %w", disk.ErrNoBacking)), api.ClassInput},
		"nothing known":          {errors.New("x"), api.ClassOther},
	} {
		if got := api.ClassOf(c.err); got != c.want {
			t.Errorf("%s: class %d, want %d", name, got, c.want)
		}
	}
}
