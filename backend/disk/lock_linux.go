package disk

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// QEMU's image locks (block/file-posix.c, RAW_LOCK_PERM_BASE): a process that
// may write holds a lock on byte 100+1, one that may resize on 100+3.
var writerBytes = []int64{101, 103}

// lockedForWriting reports whether QEMU has the image open for writing, without
// taking a lock.
func lockedForWriting(f *os.File) (bool, error) {
	for _, b := range writerBytes {
		lk := unix.Flock_t{Type: unix.F_WRLCK, Whence: 0, Start: b, Len: 1}
		if err := unix.FcntlFlock(f.Fd(), unix.F_OFD_GETLK, &lk); err != nil {
			return false, fmt.Errorf("ask for QEMU's lock on %s: %w", f.Name(), err)
		}
		if lk.Type != unix.F_UNLCK {
			return true, nil
		}
	}
	return false, nil
}
