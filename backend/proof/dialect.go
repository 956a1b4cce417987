package proof

import (
	"cmp"
	"fmt"
	"regexp"

	"ingot/backend/dialogue"
	"ingot/backend/qemu"
	"ingot/backend/target"
)

// Dialect describes how a proof operates one kind of system. It has no state and
// several proofs may use it concurrently. Commands are for the POSIX shell that the
// seed's account gets on the console.
type Dialect interface {
	// Seed writes the read-only disk that is attached to the first boot beside the
	// image, with the scripts of the checks, and returns the account that it creates.
	// The account exists only in the overlay, which is deleted.
	Seed(file string, checks []target.Check) (qemu.Account, error)
	// Prompts returns the patterns of the prompts of login and shell.
	Prompts() dialogue.Prompts
	// Quiet returns the first command after the login: it turns off the shell's echo
	// and prompt.
	Quiet() string
	// Identity returns how to read which kernel is running.
	Identity() Identity
	// Checks returns the commands that run the n checks of the seed, in order, with the
	// tools' disk mounted. A check with exit status 0 passes.
	Checks(n int) Checks
}

// Kernel names a kernel. A field that is not known is "".
type Kernel struct {
	Release, BuildID string
	Token            string // a word that only the identity of this kernel contains
}

func (k Kernel) String() string {
	switch {
	case k.Release != "" && k.BuildID != "":
		return k.Release + " with build-id " + k.BuildID
	case k.BuildID != "":
		return "with build-id " + k.BuildID
	case k == Kernel{}:
		return "that it does not name"
	}
	return cmp.Or(k.Release, k.Token)
}

// Identity reads which kernel is running. The command may be repeated, since kernel
// messages may interrupt its output.
type Identity struct {
	Command string
	Asks    string // the question in a few words, for evidence
	Proves  string // what is compared, for evidence, like "kernel release and build-id"
	// Read parses the command's output; want is the kernel that must run.
	Read func(output string, want Kernel) Kernel
	// Of returns the part of a kernel's names that is compared.
	Of func(Kernel) Kernel
}

// Checks are commands that run as root: Mount mounts the disks of the seed and of the
// tools, then Run has one command for each check.
type Checks struct {
	Mount string
	Run   []string
}

// dialect returns the dialect of the proof: that of the system, with the recipe's
// changes.
func (s Spec) dialect() (Dialect, error) {
	d := s.Dialect
	if d == nil {
		d = Linux{}
	}
	if s.Console == nil && s.Identity == nil {
		return d, nil
	}
	r := recipeDialect{Dialect: d, prompts: d.Prompts(), identity: d.Identity()}
	if s.Console != nil {
		r.login = s.Console.Login
		if s.Console.Prompt != "" {
			var err error
			if r.prompts.Shell, err = regexp.Compile(s.Console.Prompt); err != nil {
				return nil, fmt.Errorf("console.prompt: %w", err)
			}
		}
	}
	if s.Identity != nil {
		var err error
		if r.identity, err = recipeIdentity(*s.Identity); err != nil {
			return nil, err
		}
	}
	return r, nil
}
