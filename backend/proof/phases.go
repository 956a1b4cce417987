package proof

import (
	"fmt"
	"io/fs"
	"regexp"
	"sync"

	"github.com/goccy/go-yaml"

	"ingot/backend/cause"
	"ingot/backend/evidence"
	"ingot/resources"
)

// phase is one phase of a boot.
type phase struct {
	Name   string   `yaml:"name"`
	Match  []string `yaml:"match"`
	Banner []string `yaml:"banner"`

	match, banner []*regexp.Regexp
	own           []*regexp.Regexp // the patterns of match that the recipe adds
}

// answerPhase follows the last phase of phases.yaml: a command was answered.
const answerPhase = "answer"

var phases = sync.OnceValues(func() ([]phase, error) {
	data, err := fs.ReadFile(resources.FS, "causes/phases.yaml")
	if err != nil {
		return nil, err
	}
	var file struct {
		Version int     `yaml:"version"`
		Phases  []phase `yaml:"phases"`
	}
	if err := yaml.UnmarshalWithOptions(data, &file, yaml.DisallowUnknownField()); err != nil {
		return nil, fmt.Errorf("phases.yaml: %w", err)
	}
	for i := range file.Phases {
		p := &file.Phases[i]
		for _, s := range p.Match {
			p.match = append(p.match, regexp.MustCompile(s))
		}
		for _, s := range p.Banner {
			p.banner = append(p.banner, regexp.MustCompile(s))
		}
	}
	return file.Phases, nil
})

// Phases finds the phases of a boot in a console log by its lines, as a proof finds them
// while it reads the console. They have no times. Patterns of a recipe are not known here.
func Phases(lines []string) ([]evidence.Phase, error) {
	all, err := phases()
	if err != nil {
		return nil, err
	}
	var out []evidence.Phase
	next := 0
	for _, line := range lines {
		line = cause.CleanLine(line)
		if i, ok := indicated(all, next, line); ok {
			out = append(out, evidence.Phase{Name: all[i].Name, Line: clip(line)})
			next = i + 1
		}
	}
	return out, nil
}

// indicated returns the index of the latest phase, from next on, that the line indicates.
func indicated(all []phase, next int, line string) (int, bool) {
	for i := len(all) - 1; i >= next; i-- {
		match := all[i].match
		if all[i].Name == "login" && i > next {
			match = []*regexp.Regexp{waitingLogin} // the kernel or init may be quiet
			if all[next].Name == "init" {
				match = append(match, all[i].own...)
			}
		}
		if anyMatch(match, line) {
			return i, true
		}
	}
	return 0, false
}

func anyMatch(res []*regexp.Regexp, line string) bool {
	for _, re := range res {
		if re.MatchString(line) {
			return true
		}
	}
	return false
}

// missing returns the cause of a phase that did not come in time. silent means that
// there was no output since the previous phase.
func missing(name string, silent bool) string {
	switch {
	case name == "firmware" && silent:
		return "firmware.silent"
	case name == "kernel" && silent:
		return "kernel.silent"
	case name == "login":
		return "boot.no-login"
	case name == answerPhase:
		return "boot.login-timeout"
	}
	return "boot.hang"
}
