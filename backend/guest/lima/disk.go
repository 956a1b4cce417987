package lima

import (
	"os"
	"path/filepath"
	"syscall"

	"github.com/lima-vm/lima/v2/pkg/limatype/filenames"
)

// disks finds the disk and its backing file. Since 2.1 the disk is `disk`, without a
// backing file; before, it was `diffdisk` with the backing file `basedisk`, and a later
// limactl links `disk` → `diffdisk`. A basedisk that is a CD image is not a backing
// file, which only its bytes show; its size is counted in both cases.
func (i *Instance) disks() {
	for _, name := range []string{filenames.Disk, filenames.DiffDiskLegacy} {
		if i.Disk = i.resolve(name); i.Disk != "" {
			break
		}
	}
	i.Base = i.resolve(filenames.BaseDiskLegacy)
	for _, f := range []string{i.Disk, i.Base} {
		apparent, allocated := taken(f)
		i.DiskApparent, i.DiskAllocated = i.DiskApparent+apparent, i.DiskAllocated+allocated
	}
}

// resolve returns a regular file of the instance with symbolic links resolved, or "". A
// link to a missing file is a problem: the disk is elsewhere, or deleted.
func (i *Instance) resolve(name string) string {
	path := filepath.Join(i.Dir, name)
	if _, err := os.Lstat(path); err != nil {
		return ""
	}
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		i.Problem = name + " is a link to a file that does not exist: is the disk that it points to connected?"
		return ""
	}
	if info, err := os.Stat(real); err != nil || !info.Mode().IsRegular() {
		return ""
	}
	return real
}

// taken returns the size of a file, and its allocated blocks in bytes (stat(2)).
func taken(file string) (apparent, allocated uint64) {
	if file == "" {
		return 0, 0
	}
	info, err := os.Stat(file)
	if err != nil {
		return 0, 0
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		allocated = uint64(st.Blocks) * 512
	}
	return uint64(info.Size()), allocated
}
