package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// IDs of the groups under which `ingot --help` lists the verbs.
const (
	groupBuild    = "build"
	groupLook     = "look"
	groupMachines = "machines"
	groupPublish  = "publish"
	groupTeam     = "team"
	groupHome     = "home"
)

// addVerbs adds every verb to its group of root.
func addVerbs(root *cobra.Command, g *global) {
	for _, group := range []struct {
		id, title string
		verbs     []*cobra.Command
	}{
		{groupBuild, "Build:", []*cobra.Command{newBuild(g), newBuilds(g), newFollow(g), newCancel(g), newTarget(g), newExport(g)}},
		{groupLook, "Look:", []*cobra.Command{newStatus(g), newLogs(g), newExplain(g), newEvidence(g), newDoctor(g), newOpen(g), newPacker(g)}},
		{groupMachines, "Machines:", []*cobra.Command{newRun(g), newVMs(g), newVM(g)}},
		{groupPublish, "Publish and verify:", []*cobra.Command{newPublish(g), newProve(g), newVerify(g), newPull(g), newScan(), newStore(g)}},
		{groupTeam, "Team:", []*cobra.Command{newWorker(g), newWorkers(g)}},
		{groupHome, "Home:", []*cobra.Command{newHome(g), newOwner(g), newGC(g), newPin(g), newLedger(g), newSupport(g), newUninstall(g), newMan()}},
	} {
		root.AddGroup(&cobra.Group{ID: group.id, Title: group.title})
		for _, verb := range group.verbs {
			verb.GroupID = group.id
			root.AddCommand(verb)
		}
	}
}

// parent returns a command that only has subcommands.
func parent(use, short, example string) *cobra.Command {
	c := &cobra.Command{Use: use, Short: short, Example: "  " + example}
	verbsOnly(c)
	return c
}

// verbsOnly makes a command that only has subcommands print its help, and
// return an error for an unknown subcommand. Cobra would print the help and
// return no error.
func verbsOnly(c *cobra.Command) {
	c.Args = func(c *cobra.Command, a []string) error {
		if len(a) > 0 {
			return unknownCommand(c, a[0])
		}
		return nil
	}
	c.RunE = func(c *cobra.Command, _ []string) error { return c.Help() }
}

// unknownCommand returns the error for a word that is not a subcommand of c. It
// suggests similar subcommands.
func unknownCommand(c *cobra.Command, word string) error {
	hint := ""
	if names := nearest(c, word); len(names) > 0 {
		hint = fmt.Sprintf("did you mean %s? ", strings.Join(names, " or "))
	}
	return &usageError{fmt.Sprintf("unknown command %q: %s`%s --help` lists the commands", word, hint, c.CommandPath())}
}

// nearest returns the commands of c that start with word or have the smallest
// edit distance to it. The distance is two at most, and for a short word half
// its length: every word of two letters is two edits away from "vm".
func nearest(c *cobra.Command, word string) []string {
	for distance := 1; distance <= min(2, len(word)/2); distance++ {
		c.SuggestionsMinimumDistance = distance
		if names := c.SuggestionsFor(word); len(names) > 0 {
			return names
		}
	}
	return nil
}

func newHelp(root *cobra.Command) *cobra.Command {
	return &cobra.Command{
		Use: "help [COMMAND]", Short: "Print the help of a command",
		Example: "  ingot help vm export",
		RunE: func(_ *cobra.Command, a []string) error {
			c, rest, err := root.Find(a)
			switch {
			case err != nil:
				return &usageError{err.Error()}
			case len(rest) > 0:
				return unknownCommand(c, rest[0])
			}
			return c.Help()
		},
	}
}
