package lima

import (
	"os"
	"path/filepath"
	"syscall"

	"github.com/lima-vm/lima/v2/pkg/limatype/filenames"
)

// disks finds the disk and what it stands on. Since 2.1 it is `disk`, alone;
// before, `diffdisk` on top of `basedisk`, and a later limactl leaves a link
// `disk` → `diffdisk`. A basedisk that is a CD image is none that a disk stands
// on, but which it is only its bytes tell; it counts as taken space either way.
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

// resolve is a regular file of the instance with links followed, or "". A link
// that leads nowhere is a problem: the disk is elsewhere, or gone.
func (i *Instance) resolve(name string) string {
	path := filepath.Join(i.Dir, name)
	if _, err := os.Lstat(path); err != nil {
		return ""
	}
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		i.Problem = name + " is a link that leads nowhere: is the disk that it points to plugged in?"
		return ""
	}
	if info, err := os.Stat(real); err != nil || !info.Mode().IsRegular() {
		return ""
	}
	return real
}

// taken is what a file takes, by its size and in blocks of 512 bytes (stat(2)).
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
