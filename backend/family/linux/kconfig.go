package linux

import (
	"bufio"
	"bytes"
	"fmt"
	"regexp"
	"sort"
	"strings"

	"ingot/backend/cause"
	"ingot/backend/family"
)

// symbol is one wanted setting with its position.
type symbol struct {
	name, value string // value is "n" for an unset symbol
	file        string
	line        int
}

var (
	setLine   = regexp.MustCompile(`^(CONFIG_[A-Za-z0-9_]+)=(.*)$`)
	unsetLine = regexp.MustCompile(`^# (CONFIG_[A-Za-z0-9_]+) is not set$`)
)

// SymbolError lists configuration symbols that do not exist or were not applied.
type SymbolError struct{ Problems []string }

func (e *SymbolError) Error() string {
	return "kernel configuration:\n  " + strings.Join(e.Problems, "\n  ")
}

// ErrorClass returns the class of the error; see package cause.
func (*SymbolError) ErrorClass() cause.Class { return cause.Input }

// mergeFragments parses the fragments; later ones override earlier ones. A line that is
// neither a setting, a comment nor blank is an error.
func mergeFragments(fragments []family.Fragment) (map[string]symbol, error) {
	wanted := map[string]symbol{}
	var problems []string
	for _, f := range fragments {
		sc := bufio.NewScanner(bytes.NewReader(f.Data))
		for n := 1; sc.Scan(); n++ {
			line := strings.TrimSpace(sc.Text())
			if m := setLine.FindStringSubmatch(line); m != nil {
				wanted[m[1]] = symbol{m[1], m[2], f.File, n}
			} else if m := unsetLine.FindStringSubmatch(line); m != nil {
				wanted[m[1]] = symbol{m[1], "n", f.File, n}
			} else if line != "" && !strings.HasPrefix(line, "#") {
				problems = append(problems, fmt.Sprintf("%s:%d: %q is not a setting: write CONFIG_NAME=y, =m, =n or a value", f.File, n, line))
			}
		}
	}
	if len(problems) > 0 {
		return nil, cause.With("config.symbol", &SymbolError{problems})
	}
	return wanted, nil
}

// allconfig returns the merged settings for KCONFIG_ALLCONFIG, sorted by name.
func allconfig(wanted map[string]symbol) []byte {
	names := make([]string, 0, len(wanted))
	for n := range wanted {
		names = append(names, n)
	}
	sort.Strings(names)
	var b bytes.Buffer
	for _, n := range names {
		fmt.Fprintf(&b, "%s=%s\n", n, wanted[n].value)
	}
	return b.Bytes()
}

// checkConfig compares the wanted settings with the final .config. known holds every
// symbol of the source tree, without CONFIG_.
func checkConfig(wanted map[string]symbol, final []byte, known map[string]bool) error {
	got := map[string]string{}
	sc := bufio.NewScanner(bytes.NewReader(final))
	for sc.Scan() {
		if m := setLine.FindStringSubmatch(sc.Text()); m != nil {
			got[m[1]] = m[2]
		}
	}
	var problems []string
	for _, s := range wanted {
		have, set := got[s.name]
		if !set {
			have = "n"
		}
		switch {
		case !known[strings.TrimPrefix(s.name, "CONFIG_")]:
			problems = append(problems, fmt.Sprintf("%s:%d: %s does not exist in this kernel", s.file, s.line, s.name))
		case have != s.value:
			problems = append(problems, fmt.Sprintf("%s:%d: %s=%s was not applied, it is %s: a dependency is missing or another symbol selects it", s.file, s.line, s.name, s.value, have))
		}
	}
	if len(problems) == 0 {
		return nil
	}
	sort.Strings(problems)
	return cause.With("config.symbol", &SymbolError{problems})
}

// knownSymbols parses the list that kernel.sh makes from the Kconfig files.
func knownSymbols(list []byte) map[string]bool {
	known := map[string]bool{}
	for _, n := range strings.Fields(string(list)) {
		known[n] = true
	}
	return known
}

// CheckFragments parses the fragments and returns how many symbols they set.
func (System) CheckFragments(fragments []family.Fragment) (int, error) {
	wanted, err := mergeFragments(fragments)
	return len(wanted), err
}
