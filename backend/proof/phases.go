package proof

import (
	"fmt"
	"io/fs"
	"regexp"
	"sync"
	"time"

	"github.com/goccy/go-yaml"

	"ingot/backend/target"
	"ingot/resources"
)

// phase is one mark of the clock.
type phase struct {
	Name   string   `yaml:"name"`
	Match  []string `yaml:"match"`
	Banner []string `yaml:"banner"`

	match, banner []*regexp.Regexp
}

// answerPhase follows the last phase of the file: a command was answered.
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

func anyMatch(res []*regexp.Regexp, line string) bool {
	for _, re := range res {
		if re.MatchString(line) {
			return true
		}
	}
	return false
}

// deadline is the time that the named phase may take after the one before.
func deadline(d target.Deadlines, name string) time.Duration {
	all := map[string]target.Duration{"firmware": d.Firmware, "loader": d.Loader, "kernel": d.Kernel, "init": d.Init, "login": d.Login, answerPhase: d.Answer}
	if v := all[name]; v > 0 {
		return time.Duration(v)
	}
	return 2 * time.Minute
}

// missing is the cause of a phase that did not come in time. silent tells
// that nothing at all was said since the phase before.
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
