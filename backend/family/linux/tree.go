package linux

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"strings"

	"ingot/backend/disk"
	"ingot/backend/disk/files"
	"ingot/backend/family"
)

// espFiles is the number of files that contents.sh lists of the EFI system partition.
const espFiles = 4

// TreeError reports a list of files that is not that of the disk. A shell does not notice
// the end of a program within a pipe.
type TreeError struct{ Msg string }

func (e *TreeError) Error() string {
	return fmt.Sprintf("image output %s: %s: the program that lists the files ended too early", family.TreeFile, e.Msg)
}

// checkTree compares the list of a disk's files with the disk: it must have all of them,
// each regular file with its digest.
func checkTree(raw, tree string) error {
	src, err := disk.OpenRaw(raw)
	if err != nil {
		return err
	}
	defer src.Close()
	want, err := files.CountRoot(src)
	if errors.As(err, new(*files.NoRootError)) {
		return nil // there is nothing to compare with: the proof shows whether it boots
	}
	if err != nil {
		return fmt.Errorf("the files of %s: %w", raw, err)
	}
	f, err := os.Open(tree)
	if err != nil {
		return err
	}
	defer f.Close()
	have, esp := 0, 0
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		fields := strings.Split(lines.Text(), "\t")
		if strings.HasPrefix(fields[0], "ESP: ") {
			esp++
			continue
		}
		have++
		if len(fields) < 2 {
			return &TreeError{fmt.Sprintf("it has the line %q", lines.Text())}
		}
		escaped := strings.Contains(fields[0], `\`) // sha256sum writes such names in another way
		if strings.HasPrefix(fields[1], "-") && len(fields) <= len(treeFields) && !escaped {
			return &TreeError{fields[0] + " has no digest"}
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("%s: %w", tree, err)
	}
	if have != want || esp != espFiles {
		return &TreeError{fmt.Sprintf("it lists %d files and %d of the EFI system partition, the disk has %d and %d", have, esp, want, espFiles)}
	}
	return nil
}
