// Package files reads the files of a disk: its partition table, single files, and the root
// file system as a tar. It reads ext2, ext3 and ext4; see package ext4.
package files
