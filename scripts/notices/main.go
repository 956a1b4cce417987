// Command notices prints the licence texts of every module in programs:
//
//	go run ./scripts/notices [-tags face,window] ./cmd/ingot…
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
)

type module struct {
	Path, Version, Dir string
	Main               bool
}

func main() {
	tags := flag.String("tags", "", "build tags of the programs")
	flag.Parse()
	if err := run(os.Stdout, *tags, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "notices:", err)
		os.Exit(1)
	}
}

func run(w io.Writer, tags string, programs []string) error {
	if len(programs) == 0 {
		return errors.New("which programs? ./cmd/ingot")
	}
	cmd := exec.Command("go", append([]string{"list", "-deps", "-tags", tags, "-json=Module"}, programs...)...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return err
	}
	mods := map[string]module{}
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p struct{ Module *module }
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return err
		}
		if p.Module != nil && !p.Module.Main {
			mods[p.Module.Path] = *p.Module
		}
	}
	paths := make([]string, 0, len(mods))
	for p := range mods {
		paths = append(paths, p)
	}
	sort.Strings(paths)
	fmt.Fprintln(w, "Ingot contains the following modules, under the licences that follow each.")
	for _, p := range paths {
		if err := notice(w, mods[p]); err != nil {
			return err
		}
	}
	return nil
}

// notice prints a module's licence files; a module without one is an error,
// since it may not be shipped.
func notice(w io.Writer, m module) error {
	entries, err := os.ReadDir(m.Dir)
	if err != nil {
		return err
	}
	found := false
	fmt.Fprintf(w, "\n%s\n%s %s\n", strings.Repeat("=", 78), m.Path, m.Version)
	for _, e := range entries {
		name := strings.ToUpper(e.Name())
		if e.IsDir() || !strings.HasPrefix(name, "LICEN") && !strings.HasPrefix(name, "COPYING") && !strings.HasPrefix(name, "NOTICE") {
			continue
		}
		text, err := os.ReadFile(filepath.Join(m.Dir, e.Name()))
		if err != nil {
			return err
		}
		found = true
		fmt.Fprintf(w, "\n--- %s\n\n%s\n", e.Name(), text)
	}
	if !found {
		return fmt.Errorf("%s has no licence file", m.Path)
	}
	return nil
}
