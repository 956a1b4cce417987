package home

// Names by which macOS leaves a folder alone: Spotlight does not index one with this
// file, and Time Machine does not copy one with this attribute (tmutil(8), addexclusion).
const (
	neverIndex    = ".metadata_never_index"
	excludedAttr  = "com.apple.metadata:com_apple_backup_excludeItem"
	excludedValue = "bplist00_\x10\x11com.apple.backupd\x08\x00\x00\x00\x00\x00\x00\x01\x01\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x1c" // a property list: the string com.apple.backupd
)
