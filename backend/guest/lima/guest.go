package lima

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/lima-vm/lima/v2/pkg/limatype/filenames"

	"ingot/backend/guest"
	"ingot/backend/home"
)

// OpenConfig opens the guest of kind lima of a configuration.
func OpenConfig(ctx context.Context, c home.GuestConfig) (guest.Guest, error) {
	s := Store{}
	i, err := s.Instance(cmp.Or(c.Instance, c.Name))
	if err != nil {
		return nil, err
	}
	return open(ctx, i, c.WorkDir)
}

// Open opens a running instance as a guest: it logs in over ssh with Lima's key, and
// creates files below workDir or /var/tmp, on the guest's own disk. Closing the guest
// does not stop the instance. Errors have the causes lima.not-running, lima.broken,
// lima.not-ready, lima.login, lima.guest-unfit and lima.shared-mount.
//
// The host key is not checked: Lima's own ssh.config has StrictHostKeyChecking no and
// UserKnownHostsFile /dev/null, since instances are created and deleted with the same
// loopback address. A process that can listen on that port could also act as this user.
func Open(ctx context.Context, i Instance) (guest.Guest, error) { return open(ctx, i, "") }

func open(ctx context.Context, i Instance, workDir string) (guest.Guest, error) {
	if i.Status != Running {
		return nil, notRunning(i)
	}
	if i.OS != "Linux" {
		return nil, fail("lima.guest-unfit", i.Name, "it runs %s, and Ingot's steps need Linux", i.OS)
	}
	if i.Phase != Ready && i.Phase != Degraded || i.SSHAddr == "" || i.User == "" {
		return nil, fail("lima.not-ready", i.Name, "it is %s", i.Phase)
	}
	key, err := i.identity()
	if err != nil {
		return nil, err
	}
	g, err := guest.DialSSH(ctx, guest.SSHOptions{Kind: "lima", Name: i.Name, Addr: i.SSHAddr, User: i.User, KeyFile: key, WorkDir: workDir, AnyHostKey: true})
	if err != nil {
		if i.Phase != Ready {
			return nil, fail("lima.not-ready", i.Name, "it is %s: %w", i.Phase, err)
		}
		return nil, fail("lima.login", i.Name, "%w", err)
	}
	if err := fit(ctx, g, i.Name, cmp.Or(workDir, "/var/tmp")); err != nil {
		return nil, errors.Join(err, g.Close())
	}
	return g, nil
}

// Login returns how a login to the instance's system is made: the user and the file of
// the private key. Before the first start there is no user.
func (i Instance) Login() (user, keyFile string, err error) {
	if i.User == "" {
		return "", "", fail("lima.not-running", i.Name, "it was never started: start it once, so that it has a user")
	}
	key, err := i.identity()
	return i.User, key, err
}

// Seed returns the file with which the instance was last started: cloud-init's data, and
// the network's configuration.
func (i Instance) Seed() string { return filepath.Join(i.Dir, filenames.CIDataISO) }

// identity returns Lima's key, or the first one that the instance's ssh.config names.
func (i Instance) identity() (string, error) {
	if _, err := os.Stat(i.KeyFile); err == nil {
		return i.KeyFile, nil
	}
	b, _ := readSmall(filepath.Join(i.Dir, filenames.SSHConfig)) // absent: no key
	for line := range strings.Lines(string(b)) {
		if key, value, _ := strings.Cut(strings.TrimSpace(line), " "); key == "IdentityFile" {
			return strings.Trim(value, `"`), nil
		}
	}
	return "", fail("lima.login", i.Name, "there is no key %s, and its ssh.config names none", i.KeyFile)
}

// fitScript prints what makes a guest unsuitable: missing programs of the guest
// interface, and a work directory ($1) that is a mount of this computer. A shared mount
// has other rules for names, links and locks than a kernel's build needs.
const fitScript = `for p in awk cat df mktemp mv chmod wc rm; do command -v $p >/dev/null || echo "missing $p"; done
d=$1; while [ ! -e "$d" ]; do d=$(dirname "$d"); done
m=$(df -P "$d" | awk 'NR==2 {print $6}')
echo "fs $(awk -v m="$m" '$2==m {t=$3} END {print t}' /proc/mounts)"`

func fit(ctx context.Context, g guest.Guest, name, workDir string) error {
	var out strings.Builder
	err := g.Run(ctx, guest.Cmd{Argv: []string{"sh", "-c", fitScript, "fit", workDir}, Stdout: &out})
	var exit *guest.ExitError
	if errors.As(err, &exit) { // the login shell could not start it
		return fail("lima.guest-unfit", name, "its user's shell cannot run a POSIX shell with setsid and env (util-linux, coreutils): %w", err)
	}
	if err != nil {
		return fmt.Errorf("look at Lima instance %s: %w", name, err)
	}
	var missing []string
	for line := range strings.Lines(out.String()) {
		what, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch {
		case what == "missing":
			missing = append(missing, value)
		case what == "fs" && shared(value):
			return fail("lima.shared-mount", name, "%s is a mount of this computer's (%s)", workDir, value)
		}
	}
	if len(missing) > 0 {
		return fail("lima.guest-unfit", name, "it lacks %s", joined(missing))
	}
	return nil
}

// shared reports whether a file system type is one of Lima's mount types.
func shared(fs string) bool {
	return fs == "9p" || fs == "virtiofs" || strings.HasPrefix(fs, "fuse.sshfs") || strings.HasPrefix(fs, "nfs")
}
