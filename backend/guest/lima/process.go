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

// processes derives Status and Phase from the pid files, by limactl's rule
// (pkg/store/instance.go): both live is Running, none is Stopped, one alone is
// Broken, and so is a host agent that does not take connections.
func (i *Instance) processes() {
	if strings.ContainsRune(i.VMType, filepath.Separator) { // it names a file below
		i.Status, i.Problem = Broken, fmt.Sprintf("lima.yaml: vmType: %q is no driver", i.VMType)
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
			i.Status, i.Problem = Broken, fmt.Sprintf("its host agent (process %d) does not answer: %v; it may be starting, else `limactl stop --force %s`", ha, err, i.Name)
			return
		}
	}
	switch {
	case ha != 0 && driver != 0:
		i.Status, i.Phase = Running, lastPhase(filepath.Join(i.Dir, filenames.HostAgentStdoutLog))
	case ha == 0 && driver == 0:
		i.Status = Stopped
	case ha != 0:
		i.Status, i.Problem = Broken, "its host agent runs, its virtual machine does not; it may be starting or stopping, else `limactl stop --force "+i.Name+"`"
	default:
		i.Status, i.Problem = Broken, fmt.Sprintf("its virtual machine runs (process %d), its host agent does not: `limactl stop --force %s`, then start it", driver, i.Name)
	}
}

// foreign tells of a pid file whose process is another program's: process ids
// are used again when this computer has crashed, and `limactl stop --force` would
// kill whoever has them now. An instance's own processes name its folder in
// their arguments; where those cannot be read (macOS), nobody is suspected.
func (i *Instance) foreign() string {
	for _, p := range []struct {
		file string
		pid  int
	}{{filenames.HostAgentPID, i.HostAgentPID}, {filenames.PIDFile(i.VMType), i.DriverPID}} {
		if p.pid == 0 {
			continue
		}
		args, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", p.pid)) // proc(5)
		if err == nil && len(args) > 0 && !bytes.Contains(args, []byte(i.Dir)) {
			return fmt.Sprintf("%s names process %d, which is another program: it is left of a crash; remove %s", p.file, p.pid, filepath.Join(i.Dir, p.file))
		}
	}
	return ""
}

// livePID is the process of a pid file, or 0 where there is none or it is dead.
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
		return 0, fmt.Errorf("%s holds no process id", filepath.Base(file))
	}
	err = syscall.Kill(pid, 0)
	if err == nil || errors.Is(err, syscall.EPERM) {
		return pid, nil
	}
	return 0, nil
}

// dialWait is for a local socket: what does not take the connection by then hangs.
const dialWait = time.Second

func dial(sock string) error {
	c, err := net.DialTimeout("unix", sock, dialWait)
	if err != nil {
		var op *net.OpError
		if errors.As(err, &op) {
			err = op.Err // the path says nothing more
		}
		return err
	}
	return c.Close()
}

// phaseBytes is how much of the event log's end is looked at. A line of
// cloud-init progress has some hundred bytes; running is said once, but
// repeated in each later event of the same host agent.
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

// phaseOf is the state that one event tells of; "" is none, as for a line that
// is still being written.
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
		return nil, fmt.Errorf("%s is no file", file)
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
