package home

import (
	"testing"

	"howett.net/plist"
)

// The attribute's value is what Time Machine expects.
func TestExcludedValue(t *testing.T) {
	var s string
	if format, err := plist.Unmarshal([]byte(excludedValue), &s); err != nil || s != "com.apple.backupd" || format != plist.BinaryFormat {
		t.Errorf("%q, format %d, %v", s, format, err)
	}
	want, err := plist.Marshal("com.apple.backupd", plist.BinaryFormat)
	if err != nil || string(want) != excludedValue {
		t.Errorf("%q, %v", want, err)
	}
}
