package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"
	"unicode"

	"golang.org/x/term"
	"golang.org/x/text/width"

	"ingot/backend/api"
)

// glyphs are the marks of the states. A word is beside each mark for those
// who cannot see it.
var glyphs = map[api.State]string{
	api.Unknown: "·", api.Running: "…", api.Passed: "✓", api.Failed: "✗", api.Cancelled: "–", api.Stale: "~",
}

// minWidth is the smallest width in columns that render keeps to: the six marks,
// a few letters of the target's name and a state.
const minWidth = 24

// render returns the text of `ingot status`: a table, or one line a target where
// the table is wider than the given number of columns. Details of the cells that
// did not pass follow, with the next step that fix returns for a cause. No line
// is longer than the width; 0 means no limit.
func render(rows []api.Row, columns int, fix func(cause string) string) string {
	if columns > 0 {
		columns = max(columns, minWidth)
	}
	text := table(rows)
	if columns > 0 && widest(text) > columns {
		text = compact(rows, columns)
	}
	if len(rows) == 1 && rows[0].Boots.State == api.Passed {
		text += "boots in: " + rows[0].Machines() + "\n"
	}
	return text + details(rows, columns, fix)
}

// table has a column for each cell, and the ids of the evidence below the states.
func table(rows []api.Row) string {
	var out strings.Builder
	tw := tabwriter.NewWriter(&out, 0, 4, 2, ' ', 0)
	for i, r := range rows {
		if i == 0 {
			fmt.Fprintln(tw, "TARGET\t"+strings.ToUpper(strings.Join(cellNames(r), "\t")))
		}
		states, ids := []string{r.Target}, []string{""}
		for _, c := range r.Cells() {
			states = append(states, glyphs[c.Cell.State]+" "+stateWord(c.Cell))
			ids = append(ids, c.Cell.Evidence)
		}
		fmt.Fprintln(tw, strings.Join(states, "\t"))
		if strings.Join(ids, "") != "" {
			fmt.Fprintln(tw, strings.Join(ids, "\t"))
		}
	}
	_ = tw.Flush() // a strings.Builder returns no error
	return out.String()
}

// compact has a line for each target: six marks, the name, and the state of the
// cell that matters most.
func compact(rows []api.Row, columns int) string {
	var out strings.Builder
	for i, r := range rows {
		if i == 0 {
			writeLines(&out, wrap("marks: "+strings.Join(cellNames(r), ", "), columns, "  "))
		}
		var marks []string
		for _, c := range r.Cells() {
			marks = append(marks, glyphs[c.Cell.State])
		}
		head := strings.Join(marks, " ") + "  "
		word := cut(summary(r), columns-textWidth(head)-textWidth("x…  "))
		name := cut(plain(r.Target), columns-textWidth(head)-textWidth("  "+word))
		fmt.Fprintf(&out, "%s%s  %s\n", head, name, word)
	}
	return out.String()
}

// summary describes the state of a target in a few words: the cell that failed,
// else the first that did not pass, or only the state if all cells have the
// same.
func summary(r api.Row) string {
	cells := r.Cells()
	first, same := len(cells)-1, true
	for i := first; i >= 0; i-- {
		state := cells[i].Cell.State
		same = same && state == cells[0].Cell.State
		if state == api.Failed || state != api.Passed && cells[first].Cell.State != api.Failed {
			first = i
		}
	}
	if same {
		return stateWord(cells[first].Cell)
	}
	return api.CellTitle(cells[first].Name) + " " + stateWord(cells[first].Cell)
}

func stateWord(c api.Cell) string {
	if c.Note != "" {
		return c.State.String() + " (" + c.Note + ")"
	}
	return c.State.String()
}

func cellNames(r api.Row) (names []string) {
	for _, c := range r.Cells() {
		names = append(names, api.CellTitle(c.Name))
	}
	return names
}

// details returns, for every cell that did not pass, the reason and the next
// step.
func details(rows []api.Row, columns int, fix func(cause string) string) string {
	var out strings.Builder
	for _, r := range rows {
		for _, c := range r.Cells() {
			if c.Cell.Cause == "" {
				continue
			}
			why := fmt.Sprintf("%s, %s: %s: %s", r.Target, api.CellTitle(c.Name), c.Cell.Cause, c.Cell.Message)
			next := fix(c.Cell.Cause)
			if next != "" {
				next = "  next: " + next
			}
			out.WriteByte('\n')
			for _, text := range []string{why, next} {
				switch {
				case text == "":
				case columns == 0:
					fmt.Fprintln(&out, text)
				default:
					writeLines(&out, wrap(text, columns, "    "))
				}
			}
		}
	}
	return out.String()
}

func writeLines(out *strings.Builder, lines []string) {
	for _, l := range lines {
		fmt.Fprintln(out, l)
	}
}

// wrap breaks text at its spaces into lines of at most the given width in
// columns, and a longer word where it must. Spaces at its start are kept; the
// lines after the first start with indent.
func wrap(text string, columns int, indent string) (lines []string) {
	line := text[:len(text)-len(strings.TrimLeft(text, " "))]
	blank := true // nothing but indentation is on the line yet
	for _, word := range strings.Fields(text) {
		word = plain(word)
		if !blank && textWidth(line)+1+textWidth(word) > columns {
			lines, line, blank = append(lines, line), indent, true
		}
		if !blank {
			line += " "
		}
		for textWidth(line)+textWidth(word) > columns {
			head := prefix(word, columns-textWidth(line))
			lines, line, word = append(lines, line+head), indent, word[len(head):]
		}
		line, blank = line+word, false
	}
	return append(lines, line)
}

// cut shortens s to the given width in columns, and ends it with an ellipsis
// where something is missing.
func cut(s string, columns int) string {
	if textWidth(s) <= columns {
		return s
	}
	return prefix(s, columns-1) + "…"
}

// prefix returns the longest prefix of s that fits into the given width.
func prefix(s string, columns int) string {
	for i, r := range s {
		if columns -= runeWidth(r); columns < 0 {
			return s[:i]
		}
	}
	return s
}

func widest(text string) (columns int) {
	for line := range strings.Lines(text) {
		columns = max(columns, textWidth(strings.TrimSuffix(line, "\n")))
	}
	return columns
}

// textWidth is the number of terminal columns that s takes.
func textWidth(s string) (columns int) {
	for _, r := range s {
		columns += runeWidth(r)
	}
	return columns
}

// runeWidth is 0 for a combining mark and 2 for a wide East Asian character
// (Unicode Standard Annex 11).
func runeWidth(r rune) int {
	if unicode.In(r, unicode.Mn, unicode.Me) {
		return 0
	}
	switch width.LookupRune(r).Kind() {
	case width.EastAsianWide, width.EastAsianFullwidth:
		return 2
	}
	return 1
}

// terminalWidth returns the width of the terminal f in columns, which COLUMNS
// overrides. It returns 0 if f is no terminal, or one of unknown width.
func terminalWidth(f *os.File) int {
	if !term.IsTerminal(int(f.Fd())) {
		return 0
	}
	if n, err := strconv.Atoi(os.Getenv("COLUMNS")); err == nil && n > 0 {
		return n
	}
	n, _, err := term.GetSize(int(f.Fd()))
	if err != nil {
		return 0
	}
	return n
}
