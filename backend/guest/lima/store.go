package lima

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/lima-vm/lima/v2/pkg/limatype/dirnames"
	"github.com/lima-vm/lima/v2/pkg/limatype/filenames"
)

// Store is the folder of the user's instances. Its methods only read, and are safe for
// concurrent use.
type Store struct {
	Dir string // "" means $LIMA_HOME, else ~/.lima
}

// Root returns the store's folder with symbolic links resolved, as limactl does. A
// folder that does not exist is a store without instances.
func (s Store) Root() (string, error) {
	dir := s.Dir
	if dir == "" {
		dir = os.Getenv("LIMA_HOME")
	}
	if dir == "" {
		user, err := os.UserHomeDir()
		if err != nil {
			return "", &StoreError{"~/.lima", err}
		}
		dir = filepath.Join(user, dirnames.DotLima)
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", &StoreError{dir, err}
	}
	real, err := filepath.EvalSymlinks(dir)
	if errors.Is(err, fs.ErrNotExist) {
		if _, lerr := os.Lstat(dir); lerr == nil { // a link to a disk that is not connected
			return "", &StoreError{dir, err}
		}
		return dir, nil
	}
	if err != nil {
		return "", &StoreError{dir, err}
	}
	return real, nil
}

// List returns all instances, sorted by name. An instance that cannot be read is listed
// as Broken, with its problem. The error is a *StoreError.
func (s Store) List(ctx context.Context) ([]Instance, error) {
	root, names, err := s.names()
	if err != nil {
		return nil, err
	}
	mixed := readMixed(root)
	list := make([]Instance, 0, len(names))
	for _, n := range names {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if i, err := inspect(root, n, mixed); err == nil { // an error means that it was deleted meanwhile
			list = append(list, i)
		}
	}
	return list, nil
}

// names returns the folders that Lima takes for instances.
func (s Store) names() (root string, names []string, err error) {
	root, err = s.Root()
	if err != nil {
		return "", nil, err
	}
	entries, err := os.ReadDir(root)
	if errors.Is(err, fs.ErrNotExist) {
		return root, nil, nil
	}
	if err != nil {
		return "", nil, &StoreError{root, err}
	}
	for _, e := range entries {
		if e.IsDir() && !strings.HasPrefix(e.Name(), ".") && !strings.HasPrefix(e.Name(), "_") {
			names = append(names, e.Name())
		}
	}
	return root, names, nil
}

// Instance returns one instance. The error is a *NameError, a *NotFoundError or a
// *StoreError.
func (s Store) Instance(name string) (Instance, error) {
	if err := dirnames.ValidateInstName(name); err != nil {
		return Instance{}, &NameError{name}
	}
	root, names, err := s.names()
	if err != nil {
		return Instance{}, err
	}
	i, err := inspect(root, name, readMixed(root))
	if err != nil {
		return Instance{}, &NotFoundError{name, root, names}
	}
	return i, nil
}

// inspect reads an instance's folder. It returns an error only if the folder does not
// exist.
func inspect(root, name string, mixed mixed) (Instance, error) {
	dir := filepath.Join(root, name)
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return Instance{}, fs.ErrNotExist
	}
	i := Instance{Name: name, Dir: dir, KeyFile: filepath.Join(root, filenames.ConfigDir, filenames.UserPrivateKey)}
	if _, err := os.Lstat(filepath.Join(dir, filenames.Protected)); err == nil {
		i.Protected = true
	}
	if b, err := readSmall(filepath.Join(dir, filenames.LimaVersion)); err == nil {
		i.Version = strings.TrimPrefix(strings.TrimSpace(string(b)), "v")
	}
	i.disks()
	conf, err := readConfig(filepath.Join(dir, filenames.LimaYAML))
	if err != nil {
		i.Status, i.Problem = Broken, configProblem(err)
		return i, nil
	}
	i.configure(conf, mixed)
	i.ssh(conf, mixed)
	i.processes()
	return i, nil
}

func configProblem(err error) string {
	if errors.Is(err, fs.ErrNotExist) {
		return "its folder has no lima.yaml: it is being created, or its creation failed; if no limactl is running for it, remove the folder"
	}
	return "lima.yaml: " + err.Error()
}

// ssh finds the address for a login: lima.yaml may fix the port; otherwise ssh.config,
// which limactl writes when it starts the instance, has it.
func (i *Instance) ssh(c config, m mixed) {
	port := first(m.override.SSH.LocalPort, c.SSH.LocalPort, m.defaults.SSH.LocalPort)
	written := readSSHConfig(filepath.Join(i.Dir, filenames.SSHConfig))
	if port == 0 {
		port = written.port
	}
	i.User = first(m.override.User.Name, c.User.Name, m.defaults.User.Name)
	if i.User == "" {
		i.User = written.user
	}
	if port != 0 {
		i.SSHAddr = net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	}
}

// sshConfig is the content of an instance's ssh.config.
type sshConfig struct {
	port int
	user string
}

func readSSHConfig(file string) sshConfig {
	var c sshConfig
	b, err := readSmall(file)
	if err != nil {
		return c
	}
	for line := range strings.Lines(string(b)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch key {
		case "Port":
			if n, err := strconv.Atoi(value); err == nil && n > 0 && n < 1<<16 {
				c.port = n
			}
		case "User":
			c.user = strings.Trim(value, `"`)
		}
	}
	return c
}

func joined(names []string) string { return strings.Join(names, ", ") }
