package backend

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
	"testing"

	"ingot/backend/build"
	"ingot/backend/cause"
	"ingot/backend/disk"
	"ingot/backend/evidence"
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
		want Class
	}{
		"firmware":               {step(cause.With("qemu.firmware-missing", firmware)), ClassMissing},
		"disk full in a step":    {step(full), ClassMissing},
		"disk full in a guest":   {step(cause.With("guest.no-space", errors.New("tar: No space left on device"))), ClassMissing},
		"disk full at the start": {step(&home.NoSpaceError{}), ClassMissing},
		"tools":                  {step(&build.MissingToolsError{}), ClassMissing},
		"no emulator":            {step(cause.With("qemu.binary-missing", &home.ToolMissingError{})), ClassMissing},
		"fragment":               {step(cause.With("config.invalid", fs.ErrNotExist)), ClassInput},
		"recipe":                 {&target.Error{}, ClassInput},
		"file":                   {&FileError{"x", cause.With("image.missing", fs.ErrNotExist)}, ClassInput},
		"compiler":               {step(cause.With("kernel.build-failed", errors.New("x"))), ClassStep},
		"gone artifact":          {step(cause.With("image.missing", fs.ErrNotExist)), ClassStep},
		"storage full":           {step(&publish.Error{Cause: "publish.no-space", Err: full}), ClassPublish},
		"does not boot":          {&build.NotProvenError{Proof: evidence.Proof{Head: evidence.Head{Cause: "kernel.no-root"}}}, ClassUnproven},
		"guest lost":             {step(&guest.LostError{Guest: "lima:x", Err: io.EOF}), ClassStep},
		"no such instance":       {&lima.NotFoundError{Name: "x"}, ClassInput},
		"instance does not run":  {fmt.Errorf("guest x: %w", &lima.Error{ID: "lima.not-running"}), ClassInput},
		"limactl is old":         {&lima.Error{ID: "lima.too-old"}, ClassMissing},
		"limactl hangs":          {&lima.Error{ID: "lima.hangs"}, ClassOther},
		"leak":                   {step(&build.LeakError{}), ClassVerify},
		"disk in use":            {build.ImageError(fmt.Errorf("open: %w", disk.ErrInUse)), ClassInUse},
		"no backing file":        {build.ImageError(fmt.Errorf("open: %w", disk.ErrNoBacking)), ClassInput},
		"nothing known":          {errors.New("x"), ClassOther},
	} {
		if got := ClassOf(c.err); got != c.want {
			t.Errorf("%s: class %d, want %d", name, got, c.want)
		}
	}
}
