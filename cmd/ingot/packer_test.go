package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"regexp"
	"strings"
	"testing"

	"ingot/backend/packer"
)

// docs/packer.md shows four templates, each with the program's real output, and --fix
// leaves nothing of it.
func TestPackerPage(t *testing.T) {
	page, err := os.ReadFile("../../docs/packer.md")
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	shown := regexp.MustCompile("(?s)```hcl\n(.*?)```\n\n```\n((\\S+): .*?)```").FindAllStringSubmatch(string(page), -1)
	if len(shown) != 4 {
		t.Fatalf("the page shows %d templates", len(shown))
	}
	for _, m := range shown {
		file := m[3]
		if err := os.WriteFile(file, []byte(m[1]), 0o600); err != nil {
			t.Fatal(err)
		}
		o := &packerOptions{global: &global{}, PackerOptions: packer.Options{Path: file, For: "darwin/arm64"}}
		var out bytes.Buffer
		var found *packer.FoundError
		if err := runPackerDoctor(context.Background(), o, strings.NewReader(""), &out); !errors.As(err, &found) || codeOf(err) != exitUnproven {
			t.Errorf("%s: %v", file, err)
		}
		if out.String() != m[2] {
			t.Errorf("%s: the page shows\n%s\nthe program prints\n%s", file, m[2], out.String())
		}
		o.fix, o.write, o.yes = true, true, true
		if err := runPackerDoctor(context.Background(), o, strings.NewReader(""), &out); err != nil {
			t.Errorf("%s: after the fix: %v", file, err)
		}
	}
}
