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

	"ingot/backend/cause"
	"ingot/backend/home"
)

// Local is the Linux host itself.
type Local struct {
	// WorkRoot is the parent of TempDir's directories; "" means $INGOT_WORK or
	// /var/tmp. Other users must be able to reach it: the root of a user namespace is
	// not its owner.
	WorkRoot string

	made made
}

// LocalOff reports whether builds cannot run on this computer itself: it is not Linux,
// or INGOT_LOCAL_GUEST=off says so.
func LocalOff() bool { return runtime.GOOS != "linux" || os.Getenv("INGOT_LOCAL_GUEST") == "off" }

// stopGrace is how long a cancelled command may take to end after SIGTERM.
const stopGrace = 5 * time.Second

// Name returns "local".
func (l *Local) Name() string { return "local" }

// Close does nothing.
func (l *Local) Close() error { return nil }

// Facts reads the facts of this host.
func (l *Local) Facts(ctx context.Context) (Facts, error) { return readFacts(ctx, l, l.workRoot()) }

func (l *Local) workRoot() string {
	for _, d := range []string{l.WorkRoot, os.Getenv("INGOT_WORK")} {
		if d != "" {
			return d
		}
	}
	return "/var/tmp"
}

// Run starts the command in a new process group.
func (l *Local) Run(ctx context.Context, c Cmd) error {
	if LocalOff() {
		return cause.With("guest.no-local", errors.New("commands of builds do not run on this computer itself"))
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
	cmd.WaitDelay = stopGrace // closes the pipes of grandchildren that are still running
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("local guest: %w", err)
	}
	err := cmd.Wait()
	if s := cmd.ProcessState; c.CPU != nil && s != nil {
		c.CPU(s.UserTime() + s.SystemTime())
	}
	if ctx.Err() != nil {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // ignored SIGTERM
		return context.Cause(ctx)
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // processes that the command left running, as a shell does that is killed
		return &ExitError{Argv: c.Argv, Code: exit.ExitCode(), Tail: report()}
	}
	if err != nil && !errors.Is(err, exec.ErrWaitDelay) { // ErrWaitDelay: the command succeeded, and a daemon that it started has the pipe
		return err
	}
	return errors.Join(stdout.failed(), stderr.failed())
}

// steerNames are parts of the names of environment variables that change what make, the
// kernel's build and compilers do.
var steerNames = []string{"FLAGS", "KBUILD_", "KCONFIG_", "CCACHE_", "INSTALL_MOD_", "CROSS_COMPILE", "SOURCE_DATE_EPOCH", "LLVM"}

// steering are whole names of such variables, also for tools that write archives and
// file systems.
var steering = []string{"ARCH", "SUBARCH", "SRCARCH", "LOCALVERSION", "KERNELRELEASE", "KERNELVERSION", "MAKEFILES", "MAKELEVEL", "MAKEOVERRIDES", "MAKE_TERMOUT", "MAKE_TERMERR",
	"CC", "CPP", "CXX", "LD", "AR", "AS", "NM", "OBJCOPY", "OBJDUMP", "STRIP", "HOSTCC", "HOSTCXX", "HOSTLD", "PAHOLE", "DEPMOD",
	"CPATH", "C_INCLUDE_PATH", "CPLUS_INCLUDE_PATH", "LIBRARY_PATH", "COMPILER_PATH", "GCC_EXEC_PREFIX", "GCC_COMPARE_DEBUG", "LD_RUN_PATH",
	"TAR_OPTIONS", "GZIP", "BZIP2", "XZ_DEFAULTS", "XZ_OPT", "ZSTD_CLEVEL", "ZSTD_NBTHREADS", "MKE2FS_CONFIG", "MTOOLSRC", "POSIXLY_CORRECT"}

// childEnv returns the environment of build commands: this process's, without secrets,
// and without variables that would change the build, since they are not part of a
// step's input key. A step sets what it needs itself.
func childEnv(environ []string) []string {
	var out []string
	for _, kv := range home.WithoutSecrets(environ) {
		name, _, _ := strings.Cut(kv, "=")
		upper := strings.ToUpper(name)
		within := func(part string) bool { return strings.Contains(upper, part) }
		if name != "PATH" && !slices.ContainsFunc(steerNames, within) && !slices.Contains(steering, name) {
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

// Take moves the file if this user owns it and it is on the same file system.
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

// TempDir creates a directory that other users can enter but not list.
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

// Remove deletes a work directory. Files from a user namespace belong to other users;
// its root deletes them.
func (l *Local) Remove(ctx context.Context, dir string) error {
	if err := l.made.check(dir); err != nil {
		return err
	}
	return remove(ctx, l, filepath.Clean(dir))
}
