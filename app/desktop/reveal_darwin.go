package desktop

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/ebitengine/purego/objc"
)

// Reveal shows a file in Finder, selected.
func Reveal(_ context.Context, file string) error {
	if err := loadFrameworks(); err != nil {
		return fmt.Errorf("show %s: %w", file, err)
	}
	file, err := filepath.Abs(file)
	if err != nil {
		return fmt.Errorf("show %s: %w", file, err)
	}
	pooled(func() {
		workspace().Send(sel("activateFileViewerSelectingURLs:"), array(fileURL(file)))
	})
	return nil
}

func workspace() objc.ID { return cls("NSWorkspace").Send(sel("sharedWorkspace")) }

func fileURL(path string) objc.ID { return cls("NSURL").Send(sel("fileURLWithPath:"), str(path)) }

// OpenFile opens a file with the user's program for its type.
func OpenFile(_ context.Context, file string) error {
	if err := loadFrameworks(); err != nil {
		return fmt.Errorf("open %s: %w", file, err)
	}
	var opened bool
	pooled(func() { opened = objc.Send[bool](workspace(), sel("openURL:"), fileURL(file)) })
	if !opened {
		return fmt.Errorf("open %s: no program is installed for this type", file)
	}
	return nil
}
