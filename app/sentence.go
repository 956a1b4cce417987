package app

import (
	"strings"

	"ingot/backend/api"
)

// Group is what a target needs now: the lists of targets have one part for each, in this
// order.
type Group int

// The groups of targets.
const (
	GroupBuilding Group = iota
	GroupFailed
	GroupOld   // the recipe, lock, kernel or host has changed since
	GroupReady // its image boots
	GroupNew   // not built, or built and not booted
)

// GroupOf returns the group of a target.
func GroupOf(r api.Row) Group {
	if _, ok := CellIn(r, api.Running); ok {
		return GroupBuilding
	}
	if _, ok := CellIn(r, api.Failed); ok {
		return GroupFailed
	}
	if _, ok := CellIn(r, api.Stale); ok {
		return GroupOld
	}
	if r.Boots.State == api.Passed {
		return GroupReady
	}
	return GroupNew
}

// dayFormat is how a day is written in a sentence.
const dayFormat = "2 Jan"

// Sentence tells in one sentence how a target stands, for a person who does not know the
// names of the cells.
func Sentence(r api.Row) string {
	if name, ok := CellIn(r, api.Running); ok {
		return "Building: " + name
	}
	if name, ok := CellIn(r, api.Failed); ok {
		return failure(r, name)
	}
	if name, ok := CellIn(r, api.Stale); ok {
		return "Out of date: " + lower(staleWhy(r, name))
	}
	switch {
	case r.Boots.State == api.Passed && r.Published.State == api.Passed:
		where := "published"
		if r.Published.Note != "" {
			where += " (" + r.Published.Note + ")"
		}
		return "Boots under QEMU, " + where + " on " + r.Published.At.Local().Format(dayFormat)
	case r.Boots.State == api.Passed:
		return "Boots under QEMU, checked on " + r.Boots.At.Local().Format(dayFormat) + "; not published"
	case r.Exported.State == api.Passed:
		return "Built on " + r.Exported.At.Local().Format(dayFormat) + ", not boot-tested"
	}
	if name, ok := CellIn(r, api.Cancelled); ok {
		return "Cancelled: " + name
	}
	return "Not built yet"
}

// failed tells what failed, by the cell's name.
var failed = map[string]string{"configured": "The recipe cannot be used", "guest": "There is nowhere to build", "kernel": "The kernel was not built", "exported": "The disk was not made", "boots": "It did not boot", "published": "It was not published"}

// Failed tells what failed, by the name of the cell that shows it.
func Failed(cell string) string { return failed[cell] }

func failure(r api.Row, name string) string {
	text := failed[name]
	for _, c := range r.Cells() {
		if c.Name == name && c.Cell.Message != "" {
			text += ": " + oneLine(ShortPath(c.Cell.Message))
		}
	}
	return text
}

// oneLine joins the lines of a message.
func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// staleWhy returns why a cell is out of date.
func staleWhy(r api.Row, name string) string {
	for _, c := range r.Cells() {
		if c.Name == name && c.Cell.Message != "" {
			return c.Cell.Message
		}
	}
	return name
}

func lower(s string) string {
	if s == "" {
		return s
	}
	return strings.ToLower(s[:1]) + s[1:]
}
