package lima

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/lima-vm/lima/v2/pkg/hostagent/events"
	"github.com/lima-vm/lima/v2/pkg/limatype/filenames"
)

// processes derives Status and Phase from the pid files by limactl's rule
// (pkg/store/instance.go): with both processes the instance is Running, with none
// Stopped, with one Broken; it is also Broken if the host agent accepts no connection.
func (i *Instance) processes() {
	if strings.ContainsRune(i.VMType, filepath.Separator) { // it would name a file below
		i.Status, i.Problem = Broken, fmt.Sprintf("lima.yaml: vmType: %q is not a driver", i.VMType)
		return
	}
	ha, haErr := livePID(filepath.Join(i.Dir, filenames.HostAgentPID))
	driver, drErr := livePID(filepath.Join(i.Dir, filenames.PIDFile(i.VMType)))
	i.HostAgentPID, i.DriverPID = ha, driver
	if err := errors.Join(haErr, drErr); err != nil {
		i.Status, i.Problem = Broken, err.Error()
		return
	}
	if f := i.foreign(); f != "" {
		i.Status, i.Problem = Broken, f
		return
	}
	if ha != 0 {
		if err := dial(filepath.Join(i.Dir, filenames.HostAgentSock)); err != nil {
			i.Status, i.Problem = Broken, fmt.Sprintf("its host agent (process %d) does not answer: %v; if it is not starting, run `limactl stop --force %s`", ha, err, i.Name)
			return
		}
	}
	switch {
	case ha != 0 && driver != 0:
		i.Status, i.Phase = Running, lastPhase(filepath.Join(i.Dir, filenames.HostAgentStdoutLog))
	case ha == 0 && driver == 0:
		i.Status = Stopped
	case ha != 0:
		i.Status, i.Problem = Broken, "its host agent is running, its VM is not; if it is not starting or stopping, run `limactl stop --force "+i.Name+"`"
	default:
		i.Status, i.Problem = Broken, fmt.Sprintf("its VM is running (process %d), its host agent is not: run `limactl stop --force %s`, then start it", driver, i.Name)
	}
}

// foreign reports a pid file that names the process of another program: process ids are
// reused after a crash of this computer, and `limactl stop --force` would kill that
// process. An instance's own processes have its folder in their arguments; if those
// cannot be read, it reports nothing.
func (i *Instance) foreign() string {
	for _, p := range []struct {
		file string
		pid  int
	}{{filenames.HostAgentPID, i.HostAgentPID}, {filenames.PIDFile(i.VMType), i.DriverPID}} {
		if p.pid == 0 {
			continue
		}
		args, err := processArgs(p.pid)
		if err == nil && len(args) > 0 && !bytes.Contains(args, []byte(i.Dir)) {
			return fmt.Sprintf("%s names process %d, which is another program: the file remained after a crash; remove %s", p.file, p.pid, filepath.Join(i.Dir, p.file))
		}
	}
	return ""
}

// livePID returns the process of a pid file, or 0 if there is none or it has ended.
func livePID(file string) (int, error) {
	b, err := readSmall(file)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil || pid <= 1 { // signals to 0 and below go to groups
		return 0, fmt.Errorf("%s has no process id", filepath.Base(file))
	}
	err = syscall.Kill(pid, 0)
	if err == nil || errors.Is(err, syscall.EPERM) {
		return pid, nil
	}
	return 0, nil
}

// dialWait bounds the connection to a local socket.
const dialWait = time.Second

func dial(sock string) error {
	c, err := net.DialTimeout("unix", sock, dialWait)
	if err != nil {
		var op *net.OpError
		if errors.As(err, &op) {
			err = op.Err // without the path
		}
		return err
	}
	return c.Close()
}

// phaseBytes is how much of the end of the event log is read, in bytes. A line of
// cloud-init progress has some hundred bytes; running is set once, but repeated in each
// later event of the same host agent.
const phaseBytes = 256 << 10

// lastPhase reads the newest state from the host agent's event log.
func lastPhase(file string) Phase {
	b, err := readTail(file, phaseBytes)
	if err != nil {
		return Starting
	}
	for len(b) > 0 {
		cut := bytes.LastIndexByte(b, '\n')
		line := b[cut+1:]
		b = b[:max(0, cut)]
		if p := phaseOf(line); p != "" {
			return p
		}
	}
	return Starting
}

// phaseOf returns the state in one event; "" if there is none, as in an incomplete
// line.
func phaseOf(line []byte) Phase {
	var ev events.Event
	if json.Unmarshal(line, &ev) != nil {
		return ""
	}
	switch s := ev.Status; {
	case s.Exiting:
		return Exiting
	case s.Running && s.Degraded:
		return Degraded
	case s.Running:
		return Ready
	}
	return ""
}

// readTail reads the last n bytes of a file.
func readTail(file string, n int64) ([]byte, error) {
	info, err := os.Stat(file)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", file)
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if _, err := f.Seek(max(0, info.Size()-n), io.SeekStart); err != nil {
		return nil, err
	}
	return io.ReadAll(io.LimitReader(f, n))
}
