package guest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"ingot/backend/home"
)

// Local is the Linux host itself.
type Local struct {
	// WorkRoot is where TempDir makes directories; "" is $INGOT_WORK or
	// /var/tmp. It must be reachable for other users: a user namespace's root
	// is none of the owner's to this folder.
	WorkRoot string

	made made
}

// stopGrace is how long a cancelled command may take to end by SIGTERM.
const stopGrace = 5 * time.Second

// Name is "local".
func (l *Local) Name() string { return "local" }

// Close does nothing.
func (l *Local) Close() error { return nil }

// Facts looks at this host.
func (l *Local) Facts(ctx context.Context) (Facts, error) { return readFacts(ctx, l, l.workRoot()) }

func (l *Local) workRoot() string {
	for _, d := range []string{l.WorkRoot, os.Getenv("INGOT_WORK")} {
		if d != "" {
			return d
		}
	}
	return "/var/tmp"
}

// Run starts the command in a process group of its own.
func (l *Local) Run(ctx context.Context, c Cmd) error {
	if runtime.GOOS != "linux" {
		return errors.New("the local guest needs Linux: name an ssh guest in config.yaml")
	}
	if len(c.Argv) == 0 {
		return errors.New("local guest: an empty command")
	}
	name := c.Argv[0]
	if !strings.Contains(name, "/") {
		found, err := home.LookTool(name)
		if err != nil {
			return err
		}
		name = found
	}
	cmd := exec.CommandContext(ctx, name, c.Argv[1:]...)
	cmd.Args[0] = c.Argv[0]
	cmd.Dir, cmd.Stdin = c.Dir, c.Stdin
	cmd.Env = append(childEnv(os.Environ()), c.Env...)
	stdout, stderr, report := outputs(c)
	cmd.Stdout, cmd.Stderr = stdout, stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = stopGrace // closes the pipes of grandchildren that stay
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("local guest: %w", err)
	}
	err := cmd.Wait()
	if ctx.Err() != nil {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // what did not heed SIGTERM
		return context.Cause(ctx)
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return &ExitError{Argv: c.Argv, Code: exit.ExitCode(), Tail: report()}
	}
	if err != nil && !errors.Is(err, exec.ErrWaitDelay) { // of which it succeeded; a daemon it left held the pipe
		return err
	}
	return errors.Join(stdout.failed(), stderr.failed())
}

// secretNames are parts of environment names that no build command gets.
var secretNames = []string{"AWS_", "MINIO_", "MC_HOST_", "GITHUB_TOKEN", "GH_TOKEN", "SECRET", "PASSWORD", "_KEY", "TOKEN"}

// steerNames are parts of environment names by which make, the kernel's build
// and compilers take orders.
var steerNames = []string{"FLAGS", "KBUILD_", "KCONFIG_", "CCACHE_", "INSTALL_MOD_", "CROSS_COMPILE", "SOURCE_DATE_EPOCH", "LLVM"}

// steering are whole names of the same sort, and of tools that archive and make
// file systems.
var steering = []string{"ARCH", "SUBARCH", "SRCARCH", "LOCALVERSION", "KERNELRELEASE", "KERNELVERSION", "MAKEFILES", "MAKELEVEL", "MAKEOVERRIDES", "MAKE_TERMOUT", "MAKE_TERMERR",
	"CC", "CPP", "CXX", "LD", "AR", "AS", "NM", "OBJCOPY", "OBJDUMP", "STRIP", "HOSTCC", "HOSTCXX", "HOSTLD", "PAHOLE", "DEPMOD",
	"CPATH", "C_INCLUDE_PATH", "CPLUS_INCLUDE_PATH", "LIBRARY_PATH", "COMPILER_PATH", "GCC_EXEC_PREFIX", "GCC_COMPARE_DEBUG", "LD_RUN_PATH",
	"TAR_OPTIONS", "GZIP", "BZIP2", "XZ_DEFAULTS", "XZ_OPT", "ZSTD_CLEVEL", "ZSTD_NBTHREADS", "MKE2FS_CONFIG", "MTOOLSRC", "POSIXLY_CORRECT"}

// childEnv is the environment of build commands: this process's, without
// secrets, and without what would steer the build, since a step's input key
// does not hold it. What a step needs of it, it sets itself.
func childEnv(environ []string) []string {
	var out []string
	for _, kv := range environ {
		name, value, _ := strings.Cut(kv, "=")
		upper := strings.ToUpper(name)
		within := func(part string) bool { return strings.Contains(upper, part) }
		switch {
		case name == "PATH", slices.ContainsFunc(secretNames, within), slices.ContainsFunc(steerNames, within), slices.Contains(steering, name):
		case strings.HasSuffix(upper, "_PROXY") && !plainProxy(value):
		default:
			out = append(out, kv)
		}
	}
	return append(out, "PATH="+home.SearchPath())
}

// Put copies a file; the guest may change its copy.
func (l *Local) Put(ctx context.Context, src, dst string, mode os.FileMode) error {
	return copyFile(ctx, src, dst, mode)
}

// Get copies a file back.
func (l *Local) Get(ctx context.Context, src, dst string) error {
	info, err := os.Stat(src)
	if err != nil {
		return fmt.Errorf("get from guest local: %w", err)
	}
	return copyFile(ctx, src, dst, info.Mode().Perm())
}

// Take moves the file if it is ours and lies on the same file system.
func (l *Local) Take(ctx context.Context, src, dst string) error {
	var st syscall.Stat_t
	if err := syscall.Lstat(src, &st); err != nil {
		return fmt.Errorf("take from guest local: %s: %w", src, err)
	}
	if int(st.Uid) == os.Getuid() && st.Mode&syscall.S_IFMT == syscall.S_IFREG && os.Rename(src, dst) == nil {
		return nil
	}
	return l.Get(ctx, src, dst)
}

// TempDir makes a directory that others may pass through but not list by name.
func (l *Local) TempDir(_ context.Context, label string) (string, error) {
	if err := os.MkdirAll(l.workRoot(), 0o755); err != nil {
		return "", fmt.Errorf("work directory: %w", err)
	}
	dir, err := os.MkdirTemp(l.workRoot(), "ingot-"+label+"-")
	if err != nil {
		return "", fmt.Errorf("work directory: %w: set INGOT_WORK to a folder that you can write", err)
	}
	l.made.add(dir)
	return dir, os.Chmod(dir, 0o755)
}

// Remove deletes a work directory. Files that a user namespace made belong to
// other users; its own root deletes them.
func (l *Local) Remove(ctx context.Context, dir string) error {
	if err := l.made.check(dir); err != nil {
		return err
	}
	err := os.RemoveAll(filepath.Clean(dir))
	if err != nil && os.Getuid() != 0 {
		return l.Run(ctx, Cmd{Argv: []string{"unshare", "--map-root-user", "--map-auto", "rm", "-rf", "--", dir}})
	}
	return err
}
