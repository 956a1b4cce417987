package ext4test

import (
	"encoding/binary"
	"os"
	"testing"
)

// Bomb makes a sparse image of 1 TiB in file, of which less than 4 MiB are stored.
// Its root folder and most of its inodes have an extent tree of five levels in
// which all entries of a node refer to the same node below, and in the end to one
// block of names: following each reference takes 340⁵ reads.
func Bomb(t testing.TB, file string) {
	t.Helper()
	const (
		block = 4096
		first = 1 << 20 // block number of the tree's first node
		depth = 4       // of the node in the inode
	)
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(file, 1<<40); err != nil {
		t.Fatal(err)
	}
	Tool(t, "", "mke2fs", "-q", "-F", "-t", "ext4", "-b", "4096", "-I", "256", "-N", "131072", "-O", "^has_journal,^resize_inode,sparse_super2", "-E", "lazy_itable_init=1,nodiscard,num_backup_sb=0", file)
	f, err := os.OpenFile(file, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	le := binary.LittleEndian
	at := func(b []byte, off int64) {
		if _, err := f.WriteAt(b, off); err != nil {
			t.Fatal(err)
		}
	}
	// node returns an extent node of size bytes whose entries all refer to block n
	node := func(size, depth int, n uint32) []byte {
		b := make([]byte, size)
		entries := (size - 12) / 12
		le.PutUint16(b, 0xf30a)
		le.PutUint16(b[2:], uint16(entries))
		le.PutUint16(b[4:], uint16(entries))
		le.PutUint16(b[6:], uint16(depth))
		for e := b[12:]; len(e) >= 12; e = e[12:] {
			if depth > 0 {
				le.PutUint32(e[4:], n)
			} else {
				le.PutUint16(e[4:], 1)
				le.PutUint32(e[8:], n)
			}
		}
		return b
	}
	for i := range depth {
		at(node(block, depth-1-i, uint32(first+i+1)), int64(first+i)*block)
	}
	names := make([]byte, block)
	for e := names; len(e) >= 12; e = e[12:] {
		le.PutUint32(e, 12)
		size := 12
		if len(e) < 24 {
			size = len(e)
		}
		le.PutUint16(e[4:], uint16(size))
		e[6], e[7], e[8] = 1, 1, 'x'
	}
	at(names, int64(first+depth)*block)

	descriptor := make([]byte, 64)
	if _, err := f.ReadAt(descriptor, block); err != nil {
		t.Fatal(err)
	}
	table := int64(le.Uint32(descriptor[8:])) * block
	le.PutUint16(descriptor[0x1c:], 0) // no unused inodes
	le.PutUint16(descriptor[0x12:], 0)
	at(descriptor, block)
	for i := int64(1); i < 16; i++ { // inodes count from 1, and 2 is the root
		inode := make([]byte, 256)
		le.PutUint16(inode, 0x81a4)
		if i == 1 {
			le.PutUint16(inode, 0x41ed)
		}
		le.PutUint32(inode[4:], 1<<30)
		le.PutUint16(inode[26:], 1)
		le.PutUint32(inode[32:], 0x80000) // extents
		copy(inode[40:], node(60, depth, first))
		at(inode, table+i*256)
	}
}
