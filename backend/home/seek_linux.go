package home

// lseek(2) whence values.
const (
	seekData = 3
	seekHole = 4
)
