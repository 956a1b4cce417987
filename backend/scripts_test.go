package backend_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// macScripts run on a Mac too, whose tools are BSD's and whose bash is 3.2. The other
// scripts are for Linux.
var macScripts = []string{"go.sh", "demo.sh", "demo-check.sh", "check.sh", "test.sh", "tools.sh", "dist.sh", "sign.sh"}

// gnuOnly are uses that fail there, each with an example of its own.
var gnuOnly = map[string]*regexp.Regexp{
	`sed -i 's/a/b/' f`:      regexp.MustCompile(`\bsed (-[a-hj-zE]+ )*-i( |$)`),
	`stat -c %s f`:           regexp.MustCompile(`\bstat -c`),
	`date -d @0`:             regexp.MustCompile(`\bdate (-u )?-d\b`),
	`date +%s%N`:             regexp.MustCompile(`\bdate [^|;]*%N`),
	`xargs -r rm`:            regexp.MustCompile(`\bxargs (-[a-z0-9]+ )*-[a-z0-9]*r`),
	`readlink -f x`:          regexp.MustCompile(`\breadlink -[a-z]*f`),
	`grep -oP x`:             regexp.MustCompile(`\bgrep -[a-zA-Z]*P`),
	`head -n -1 f`:           regexp.MustCompile(`\bhead -n -`),
	`cp --sparse=always a b`: regexp.MustCompile(`\b(cp|mv|rm|ln|mkdir|touch|chmod) (-[a-zA-Z]+ )*--[a-z]`),
	`timeout 5 x`:            regexp.MustCompile(`(^|[;&|(] *)timeout `),
	`flock f x`:              regexp.MustCompile(`(^|[;&|(] *)flock `),
	`n=$(nproc)`:             regexp.MustCompile(`\bnproc\b`),
	`cat /proc/cpuinfo`:      regexp.MustCompile(`/proc/`),
	`dd if=a status=none`:    regexp.MustCompile(`\bstatus=none`),
	`mapfile -t x`:           regexp.MustCompile(`\b(mapfile|readarray)\b`),
	`declare -A x`:           regexp.MustCompile(`\b(declare|local) -[a-z]*[An]`),
	`${x,,}`:                 regexp.MustCompile(`\$\{[a-zA-Z_]+(,,|\^\^)`),
	`a |& b`:                 regexp.MustCompile(`\|&`),
}

func TestScriptsOfAMac(t *testing.T) {
	for example, re := range gnuOnly {
		if !re.MatchString(example) {
			t.Errorf("%s does not match %q", re, example)
		}
	}
	for _, name := range macScripts {
		text, err := os.ReadFile(filepath.Join("..", "scripts", name))
		if err != nil {
			t.Fatal(err)
		}
		linux := 0 // open "if Linux" blocks
		for n, line := range strings.Split(string(text), "\n") {
			code := strings.TrimSpace(line)
			switch {
			case strings.HasPrefix(code, "#"):
				continue
			case strings.HasPrefix(code, "if ") && strings.Contains(code, `"$(uname -s)" = Linux`):
				linux++
			case linux > 0 && strings.HasPrefix(code, "if "):
				linux++
			case linux > 0 && code == "fi":
				linux--
			}
			if linux > 0 {
				continue
			}
			for _, re := range gnuOnly {
				if m := re.FindString(code); m != "" {
					t.Errorf("scripts/%s:%d: %q is not known on a Mac", name, n+1, m)
				}
			}
		}
	}
}
