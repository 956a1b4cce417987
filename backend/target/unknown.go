package target

import (
	"errors"
)

// IsUnknown reports whether an error is that of an unknown target name.
func IsUnknown(err error) bool {
	var unknown *UnknownError
	return errors.As(err, &unknown)
}
