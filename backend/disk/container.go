package disk

import (
	"bytes"
	"fmt"
	"io"
)

// container is a file format that holds a disk and is neither qcow2 nor raw. Its bytes
// are not those of the disk: read as raw, it hides what the disk holds.
type container struct {
	name   string
	at     int64 // where the magic stands; from the end of the file where negative
	magic  string
	unpack string // the command that makes a qcow2 or raw of it; FILE stands for its path
}

const convert = "qemu-img convert -O qcow2 FILE disk.qcow2"

// containers are told by their magic: VMDK and COWD (VMware's Virtual Disk Format 5.0),
// VHDX ([MS-VHDX] 2.2.1), VHD (its footer of 512 bytes, which a dynamic disk also has at
// its start), VDI (VirtualBox's VDICore.h), ASIF, Apple's UDIF (.dmg), QED, Parallels,
// and what archives and compressed files begin with.
var containers = []container{
	{"a VMDK (VMware)", 0, "KDMV", convert},
	{"a VMDK (VMware)", 0, "COWD", convert},
	{"the description of a VMDK (VMware)", 0, "# Disk DescriptorFile", convert},
	{"a VHDX (Hyper-V)", 0, "vhdxfile", convert},
	{"a VHD (Hyper-V, Azure)", 0, "conectix", convert},
	{"a VHD (Hyper-V, Azure)", -512, "conectix", convert},
	{"a VDI (VirtualBox)", 64, "\x7f\x10\xda\xbe", convert},
	{"in Apple's sparse format (ASIF)", 0, asifMagic, "diskutil image create from --format RAW FILE disk.raw"},
	{"an Apple disk image (UDIF, .dmg)", -512, "koly", "hdiutil convert FILE -format UDTO -o disk.raw"},
	{"a QED image", 0, "QED\x00", convert},
	{"a Parallels image", 0, "WithoutFreeSpace", convert},
	{"a Parallels image", 0, "WithouFreSpacExt", convert},
	{"compressed by gzip", 0, "\x1f\x8b", "gunzip --stdout FILE >disk"},
	{"compressed by xz", 0, "\xfd7zXZ\x00", "xz --decompress --stdout FILE >disk"},
	{"compressed by zstd", 0, "\x28\xb5\x2f\xfd", "zstd --decompress FILE -o disk"},
	{"compressed by bzip2", 0, "BZh", "bzip2 --decompress --stdout FILE >disk"},
	{"compressed by lz4", 0, "\x04\x22\x4d\x18", "lz4 -d FILE disk"},
	{"a zip archive", 0, "PK\x03\x04", "unzip FILE"},
	{"a 7z archive", 0, "7z\xbc\xaf\x27\x1c", "7z x FILE"},
	{"a tar archive (an OVA is one)", 257, "ustar", "tar -xf FILE"},
}

// ContainerError says that a file is a container that is not read.
type ContainerError struct {
	Name   string // what it is, after "it is"
	Unpack string // a command with FILE for its path
}

func (e *ContainerError) Error() string {
	return fmt.Sprintf("it is %s, which is not read; accepted are qcow2 and raw. Make one of them: %s", e.Name, e.Unpack)
}

// Unwrap makes it an ErrUnreadable.
func (e *ContainerError) Unwrap() error { return ErrUnreadable }

// CauseID names the cause.
func (e *ContainerError) CauseID() string { return "image.container" }

// notContainer is a *ContainerError for a file of the size that one of the containers'
// magics names, and for an empty one.
func notContainer(f io.ReaderAt, size int64) error {
	if size == 0 {
		return fmt.Errorf("%w: it is empty", ErrUnreadable)
	}
	for _, c := range containers {
		at := c.at
		if at < 0 {
			at += size
		}
		b := make([]byte, len(c.magic))
		if at < 0 || at+int64(len(b)) > size {
			continue
		}
		if _, err := f.ReadAt(b, at); ignoreEOF(err) != nil {
			return err
		}
		if bytes.Equal(b, []byte(c.magic)) {
			return &ContainerError{c.name, c.unpack}
		}
	}
	return nil
}
