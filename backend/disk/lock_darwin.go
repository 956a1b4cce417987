package disk

import "os"

// lockedForWriting always returns false on macOS: QEMU takes no lock on systems
// without OFD locks (block/file-posix.c, raw_open_common), and Apple's
// Virtualization framework documents none.
func lockedForWriting(*os.File) (bool, error) { return false, nil }
