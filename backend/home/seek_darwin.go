package home

// Whence values of lseek(2). macOS defines SEEK_HOLE and SEEK_DATA with the
// values that Linux has for the other one.
const (
	seekHole = 3
	seekData = 4
)
