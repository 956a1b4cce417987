package main

import (
	"context"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"ingot/backend/api"
	"ingot/backend/vm"
)

// completeValues adds shell completion of values: what a verb's usage calls
// TARGET and NAME, steps, formats and guests. Values that cannot be read are
// not completed; no error is printed.
func completeValues(c *cobra.Command, g *global) {
	words := strings.Fields(c.Use)[1:]
	if c.ValidArgsFunction == nil && len(c.ValidArgs) == 0 && len(words) > 0 {
		c.ValidArgsFunction = func(c *cobra.Command, given []string, _ string) ([]string, cobra.ShellCompDirective) {
			word := words[len(words)-1]
			if len(given) < len(words) {
				word = words[len(given)]
			} else if !strings.Contains(word, "…") {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return valuesOf(c, g, word)
		}
	}
	steps := func(context.Context) []string { return api.Steps }
	formats := func(context.Context) []string { return api.Formats }
	guests := func(ctx context.Context) []string { return guestNames(ctx, g) }
	for flag, values := range map[string]func(context.Context) []string{"until": steps, "force": steps, "format": formats, "guest": guests} {
		f := c.NonInheritedFlags().Lookup(flag)
		if f == nil || f.Value.Type() == "bool" {
			continue
		}
		// it returns an error for a flag that has a completion
		_ = c.RegisterFlagCompletionFunc(flag, func(c *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
			return values(c.Context()), cobra.ShellCompDirectiveNoFileComp
		})
	}
	for _, sub := range c.Commands() {
		if sub.Name() != "help" && sub.Name() != "completion" && !strings.HasPrefix(sub.Name(), "__") {
			completeValues(sub, g)
		}
	}
}

// valuesOf returns the possible values for a word of a usage.
func valuesOf(c *cobra.Command, g *global, word string) (values []string, _ cobra.ShellCompDirective) {
	directive := cobra.ShellCompDirectiveNoFileComp
	for _, kind := range strings.Split(strings.Trim(word, "[]…"), "|") {
		switch {
		case kind == "TARGET":
			if b, err := g.open(); err == nil {
				values = append(values, b.Targets.Names()...)
			}
		case kind == "NAME" && c.Parent().Name() == "vm" && c.Name() != "create":
			values = append(values, vmNames(c.Context())...)
		case strings.HasPrefix(kind, "FILE"):
			directive = cobra.ShellCompDirectiveDefault
		}
	}
	return values, directive
}

func vmNames(ctx context.Context) (names []string) {
	all, err := vm.List(ctx)
	if err != nil {
		return nil
	}
	for _, vm := range all {
		names = append(names, vm.Name)
	}
	return names
}

func guestNames(ctx context.Context, g *global) []string {
	var names []string
	if b, err := g.open(); err == nil {
		names = b.GuestNames()
	}
	for _, name := range vmNames(ctx) {
		names = append(names, vm.GuestName(name))
	}
	slices.Sort(names)
	return names
}
