package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Every verb is listed in a group, and its help shows a call that parses.
func TestVerbsHaveGroupAndExample(t *testing.T) {
	for _, fault := range verbFaults(newRoot) {
		t.Error(fault)
	}
}

// The check above must fail for a verb that lacks what it asks for.
func TestVerbFaultsCanFail(t *testing.T) {
	run := func(*cobra.Command, []string) {}
	for name, c := range map[string]struct {
		verb cobra.Command
		want string
	}{
		"no group":        {cobra.Command{Use: "x", Run: run, Example: "  ingot x"}, "ingot x: no group"},
		"no example":      {cobra.Command{Use: "x", Run: run, GroupID: groupHome}, "ingot x: no example"},
		"of another verb": {cobra.Command{Use: "x", Run: run, GroupID: groupHome, Example: "  ingot home"}, `ingot x: the example "ingot home" calls ingot home`},
		"long help":       {cobra.Command{Use: "x", Run: run, GroupID: groupHome, Example: "  ingot x", Short: strings.Repeat("x", 67)}, "ingot x: its short help has 67 letters, more than 66"},
		"unknown flag":    {cobra.Command{Use: "x", Run: run, GroupID: groupHome, Example: "  ingot x --no-such"}, `ingot x: the example "ingot x --no-such": unknown flag: --no-such`},
		"wrong arguments": {cobra.Command{Use: "x", Run: run, GroupID: groupHome, Args: cobra.ExactArgs(1), Example: "  ingot x"}, `ingot x: the example "ingot x": accepts 1 arg(s), received 0`},
	} {
		faults := verbFaults(func() *cobra.Command {
			root, verb := newRoot(), c.verb
			root.AddCommand(&verb)
			return root
		})
		if !slices.Equal(faults, []string{c.want}) {
			t.Errorf("%s: got %q, want %q", name, faults, c.want)
		}
	}
}

// maxShort is the length of a short help that fits a terminal of 80 columns
// behind the longest verb's name.
const maxShort = 80 - len("  completion  ")

// verbFaults returns what is missing or wrong in the help of root's verbs. It
// takes a fresh root for each example, because parsing one sets flags.
func verbFaults(root func() *cobra.Command) (faults []string) {
	var check func(c *cobra.Command)
	check = func(c *cobra.Command) {
		path := c.CommandPath()
		if c.Parent() == c.Root() && !c.Root().ContainsGroup(c.GroupID) {
			faults = append(faults, path+": no group")
		}
		if n := utf8.RuneCountInString(c.Short); n > maxShort {
			faults = append(faults, fmt.Sprintf("%s: its short help has %d letters, more than %d", path, n, maxShort))
		}
		if c.Example == "" {
			faults = append(faults, path+": no example")
		}
		for line := range strings.Lines(c.Example) {
			if err := checkExample(root(), path, strings.TrimSpace(line)); err != nil {
				faults = append(faults, path+": "+err.Error())
			}
		}
		if c.Name() == "completion" {
			return // its commands are cobra's, with help of their own
		}
		for _, sub := range c.Commands() {
			check(sub)
		}
	}
	for _, c := range root().Commands() {
		check(c)
	}
	return faults
}

// checkExample parses one line of an example: it must call the verb with the
// given path, or one below it, with flags and arguments that this one takes.
func checkExample(root *cobra.Command, path, line string) error {
	words := strings.Fields(line)
	if len(words) == 0 || words[0] != "ingot" {
		return fmt.Errorf("the example %q does not start with ingot", line)
	}
	c, rest, err := root.Find(words[1:])
	if err != nil {
		return fmt.Errorf("the example %q: %w", line, err)
	}
	if !strings.HasPrefix(c.CommandPath()+" ", path+" ") {
		return fmt.Errorf("the example %q calls %s", line, c.CommandPath())
	}
	if err := c.ParseFlags(rest); err != nil {
		return fmt.Errorf("the example %q: %w", line, err)
	}
	if err := c.ValidateArgs(c.Flags().Args()); err != nil {
		return fmt.Errorf("the example %q: %w", line, err)
	}
	return nil
}

// A mistyped verb gets the nearest ones, a word unlike any gets none.
func TestNearest(t *testing.T) {
	for word, want := range map[string][]string{
		"biuld": {"build"}, "statsu": {"status"}, "logz": {"logs"}, "publsh": {"publish"}, "doc": {"doctor"}, "gcc": {"gc"},
		"nonsense": nil, "ls": nil, "foo": nil, "x": nil,
	} {
		if got := nearest(newRoot(), word); !slices.Equal(got, want) {
			t.Errorf("%s: got %q, want %q", word, got, want)
		}
	}
}

// A word in backquotes in the help of a flag is shown as its value: a flag without one
// must have none.
func TestSwitchesShowNoValue(t *testing.T) {
	var check func(c *cobra.Command)
	check = func(c *cobra.Command) {
		c.Flags().VisitAll(func(f *pflag.Flag) {
			if name, _ := pflag.UnquoteUsage(f); f.Value.Type() == "bool" && name != "" {
				t.Errorf("%s --%s is shown with the value %q", c.CommandPath(), f.Name, name)
			}
		})
		for _, sub := range c.Commands() {
			check(sub)
		}
	}
	check(newRoot())
}

// The format of an export follows the name of its file, and does not contradict it.
func TestExportFormat(t *testing.T) {
	for _, c := range []struct {
		format, out string
		asked       bool
		want        string
		refused     bool
	}{
		{"qcow2", "", false, "qcow2", false},
		{"qcow2", "x.raw", false, "raw", false},
		{"qcow2", "x.tar.zst", false, "tar.zst", false},
		{"raw", "x.raw", true, "raw", false},
		{"raw", "x.img", true, "raw", false},
		{"qcow2", "x.raw", true, "", true},
	} {
		got, err := exportFormat(c.format, c.out, c.asked)
		if got != c.want || (err != nil) != c.refused {
			t.Errorf("%+v: %q, %v", c, got, err)
		}
	}
}
