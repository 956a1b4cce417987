package home

// lseek(2) whence values; macOS numbers them the other way round than Linux.
const (
	seekHole = 3
	seekData = 4
)
