package run

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"time"

	"ingot/backend/cause"
	"ingot/backend/home"
)

// Program is the Packer of the search path.
type Program struct {
	Path    string
	Version string
}

// versionTimeout is how long Packer may take to print its version.
const versionTimeout = 20 * time.Second

var packerVersion = regexp.MustCompile(`(?m)^Packer v((\d+)\.(\d+)\.\S+)`)

// ProgramError is a Packer that is missing, too old, or another program of that name.
type ProgramError struct {
	ID  string
	Msg string
	Err error // of the program, or nil
}

func (e *ProgramError) Error() string {
	if e.Err != nil {
		return e.Msg + ": " + e.Err.Error()
	}
	return e.Msg
}

func (e *ProgramError) Unwrap() error { return e.Err }

// CauseID names the cause.
func (e *ProgramError) CauseID() string { return e.ID }

// ErrorClass sorts the error; see package cause.
func (*ProgramError) ErrorClass() cause.Class { return cause.Missing }

// findProgram finds Packer and asks for its version. Packer reads HCL2 since 1.5.
func findProgram(ctx context.Context, look func(string) (string, error)) (Program, error) {
	if look == nil {
		look = home.LookTool
	}
	path, err := look("packer")
	if err != nil {
		return Program{}, &ProgramError{ID: "packer.missing", Msg: "packer run needs Packer", Err: err}
	}
	asked, cancel := context.WithTimeout(ctx, versionTimeout)
	defer cancel()
	cmd := exec.CommandContext(asked, path, "version")
	cmd.Env = append(home.WithoutSecrets(os.Environ()), "CHECKPOINT_DISABLE=1") // Packer looks for updates
	cmd.WaitDelay = time.Second
	out, err := cmd.Output()
	if ctx.Err() != nil {
		return Program{}, context.Cause(ctx)
	}
	m := packerVersion.FindStringSubmatch(string(out))
	switch {
	case m == nil:
		return Program{}, &ProgramError{ID: "packer.other-program", Msg: fmt.Sprintf("`%s version` does not print a version of Packer", path), Err: err}
	case m[2] == "0", m[2] == "1" && len(m[3]) == 1 && m[3] < "5":
		return Program{}, &ProgramError{ID: "packer.too-old", Msg: fmt.Sprintf("%s is Packer %s, which does not read HCL2 templates", path, m[1])}
	}
	return Program{Path: path, Version: m[1]}, nil
}
