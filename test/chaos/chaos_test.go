//go:build chaos

package chaos

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"

	"ingot/backend/publish/s3"
	"ingot/backend/secret"
)

// packageDir is where the test was started.
var packageDir, _ = os.Getwd()

// TestMain is also the entry of the processes that the test starts and kills.
func TestMain(m *testing.M) {
	s := fromEnv()
	var err error
	switch s.role {
	case "worker":
		err = work(s)
	case "submitter":
		err = submit(s)
	default:
		os.Exit(m.Run())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, s.role, err)
		os.Exit(1)
	}
}

func number(name string, otherwise int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil {
		return n
	}
	return otherwise
}

// world is all processes of one run.
type world struct {
	t       *testing.T
	s       setting
	rng     *rand.Rand
	program string // the nats-server
	store   *minio.Client
	running map[string]*exec.Cmd
	ended   map[int]time.Time // when a process was killed
	logs    *os.File
	fill    string // folder of the server's small disk; "" without one
}

func newWorld(t *testing.T, seed uint64, jobs int, leases bool) *world {
	t.Helper()
	dir, err := os.MkdirTemp("/var/tmp", "ingot-chaos-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	for _, d := range []string{"children", "runs", "nats", "store"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	build := exec.Command("go", "build", "-o", filepath.Join(dir, "nats-server"), "github.com/nats-io/nats-server/v2")
	build.Dir = packageDir // the local store, once open, works in a folder of its own
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("nats-server: %v\n%s", err, out)
	}
	l, err := s3.OpenLocalStore(context.Background(), filepath.Join(dir, "store"), 0, secret.Files{Dir: filepath.Join(dir, "keys")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	cred, err := l.Endpoint().Credentials.GetWithContext(nil)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, program: filepath.Join(dir, "nats-server"), rng: rand.New(rand.NewPCG(seed, 0)), running: map[string]*exec.Cmd{}, ended: map[int]time.Time{},
		s: setting{dir: dir, s3: strings.TrimPrefix(l.Endpoint().URL, "http://"), user: cred.AccessKeyID, secret: cred.SecretAccessKey, jobs: jobs, leases: leases}}
	if w.store, err = w.s.store(); err != nil {
		t.Fatal(err)
	}
	if w.logs, err = os.Create(filepath.Join(dir, "log")); err != nil {
		t.Fatal(err)
	}
	w.smallDisk()
	w.configure()
	t.Cleanup(w.stopAll)
	return w
}

// smallDisk puts the server's folder on a disk that can be filled; root only.
func (w *world) smallDisk() {
	dir := filepath.Join(w.s.dir, "nats")
	if os.Getuid() != 0 || exec.Command("mount", "-t", "tmpfs", "-o", "size=64m,mode=700", "none", dir).Run() != nil {
		w.t.Log("no disk of its own can be mounted here: it is not filled")
		return
	}
	w.fill = dir
	w.t.Cleanup(func() { _ = exec.Command("umount", "-l", dir).Run() })
}

func (w *world) configure() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		w.t.Fatal(err)
	}
	addr := l.Addr().String()
	if err := l.Close(); err != nil {
		w.t.Fatal(err)
	}
	w.s.nats = "nats://" + addr
	text := fmt.Sprintf("listen: %q\njetstream { store_dir: %q, sync_interval: always, max_mem: 16M, max_file: 48M }\n", addr, filepath.Join(w.s.dir, "nats", "js"))
	if err := os.WriteFile(filepath.Join(w.s.dir, "nats.conf"), []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

// start starts a process by its name.
func (w *world) start(name string) {
	w.t.Helper()
	cmd := exec.Command(w.program, "-c", filepath.Join(w.s.dir, "nats.conf"))
	if name != "server" {
		self, err := os.Executable()
		if err != nil {
			w.t.Fatal(err)
		}
		s := w.s
		s.role = strings.TrimRight(name, "12")
		cmd = exec.Command(self)
		cmd.Env = s.env()
	}
	cmd.Dir, cmd.Stdout, cmd.Stderr = w.s.dir, w.logs, w.logs
	if err := cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	w.running[name] = cmd
}

// kill kills a process as a power cut would.
func (w *world) kill(name string) {
	cmd := w.running[name]
	_ = cmd.Process.Kill() // it may have ended
	_ = cmd.Wait()
	w.ended[cmd.Process.Pid] = time.Now()
}

func (w *world) stopAll() {
	for _, name := range []string{"worker1", "worker2", "submitter", "server"} {
		if w.running[name] != nil {
			w.kill(name)
		}
	}
}

func (w *world) pause(most time.Duration) { time.Sleep(time.Duration(w.rng.Int64N(int64(most)))) }

// fillDisk leaves the server no room for a while, and starts it anew then, as
// whoever runs it would.
func (w *world) fillDisk() {
	if w.fill == "" {
		return
	}
	filler := filepath.Join(w.fill, "filler")
	_ = exec.Command("dd", "if=/dev/zero", "of="+filler, "bs=64k", "status=none").Run() // ends when the disk is full
	w.pause(2 * time.Second)
	if err := os.Remove(filler); err != nil {
		w.t.Error(err)
	}
	w.kill("server")
	w.start("server")
}

// terminals reads the ids that have an end.
func (w *world) terminals() map[string]terminal {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	out := map[string]terminal{}
	for o := range w.store.ListObjects(ctx, bucket, minio.ListObjectsOptions{Prefix: "terminal/", Recursive: true}) {
		if o.Err != nil {
			w.t.Fatal(o.Err)
		}
		data, err := readObject(ctx, w.store, o.Key)
		var rec terminal
		if err != nil || json.Unmarshal(data, &rec) != nil {
			w.t.Fatalf("%s: %v: %s", o.Key, err, data)
		}
		if _, twice := out[rec.Job]; twice {
			w.t.Errorf("%s has two ends", rec.Job)
		}
		out[rec.Job] = rec
	}
	return out
}

// run starts everything, kills at random, and waits until all jobs have ended.
func (w *world) run(kills int) {
	w.t.Helper()
	for _, name := range []string{"server", "worker1", "worker2", "submitter"} {
		w.start(name)
	}
	filled := kills / 2
	for i := range kills {
		w.pause(1500 * time.Millisecond)
		victim := []string{"worker1", "worker2", "worker1", "worker2", "submitter", "server"}[w.rng.IntN(6)]
		w.t.Logf("kill %s", victim)
		w.kill(victim)
		w.pause(500 * time.Millisecond)
		w.start(victim)
		if i == filled {
			w.t.Log("fill the disk")
			w.fillDisk()
		}
	}
	limit := time.Now().Add(5 * time.Minute)
	for len(w.terminals()) < w.s.jobs {
		if time.Now().After(limit) {
			log, _ := os.ReadFile(w.logs.Name())
			w.t.Fatalf("only %d of %d jobs have an end\n%s", len(w.terminals()), w.s.jobs, log[max(0, len(log)-4000):])
		}
		time.Sleep(200 * time.Millisecond)
	}
}

// span is one run of a job.
type span struct {
	job        string
	start, end time.Time
}

// overlaps counts pairs of runs of one target that ran at once.
func (w *world) overlaps() (pairs int, example string) {
	w.t.Helper()
	files, err := filepath.Glob(filepath.Join(w.s.dir, "runs", "*"))
	if err != nil || len(files) == 0 {
		w.t.Fatalf("no diaries: %v", err)
	}
	byTarget := map[string][]span{}
	for _, f := range files {
		for target, spans := range w.diary(f) {
			for _, s := range spans {
				for _, o := range byTarget[target] {
					if s.start.Before(o.end) && o.start.Before(s.end) {
						pairs++
						example = fmt.Sprintf("%s (%s to %s) and %s (%s to %s)", s.job, s.start.Format("05.000"), s.end.Format("05.000"), o.job, o.start.Format("05.000"), o.end.Format("05.000"))
					}
				}
				byTarget[target] = append(byTarget[target], s)
			}
		}
	}
	return pairs, example
}

// diary reads a worker's runs; those without an end ended with their process.
func (w *world) diary(file string) map[string][]span {
	data, err := os.ReadFile(file)
	if err != nil {
		w.t.Fatal(err)
	}
	pid, _ := strconv.Atoi(filepath.Base(file))
	open, out := map[int64]mark{}, map[string][]span{}
	for s := bufio.NewScanner(bytes.NewReader(data)); s.Scan(); {
		var m mark
		if json.Unmarshal(s.Bytes(), &m) != nil {
			continue // cut short by a kill
		}
		if !m.End {
			open[m.Run] = m
			continue
		}
		out[m.Target] = append(out[m.Target], span{m.Job, open[m.Run].At, m.At})
		delete(open, m.Run)
	}
	for _, m := range open {
		end, ok := w.ended[pid]
		if !ok {
			end = time.Now()
		}
		out[m.Target] = append(out[m.Target], span{m.Job, m.At, end})
	}
	return out
}

// check looks at what is left.
func (w *world) check() {
	w.t.Helper()
	ctx := context.Background()
	ends := w.terminals()
	for i := range w.s.jobs {
		id := w.s.job(i).ID
		rec, ok := ends[id]
		if !ok {
			w.t.Errorf("%s has no end", id)
			continue
		}
		data, err := readObject(ctx, w.store, "objects/"+id)
		want := bytes.Repeat([]byte(id+"\n"), artifactSize/(len(id)+1)+1)[:artifactSize]
		if err != nil || hexSum(data) != rec.SHA256 || !bytes.Equal(data, want) {
			w.t.Errorf("%s: published %d bytes, %v", id, len(data), err)
		}
	}
	if len(ends) != w.s.jobs {
		w.t.Errorf("%d ends of %d jobs", len(ends), w.s.jobs)
	}
}

// noChildren stops the workers; one last start ends what killed ones left.
func (w *world) noChildren() {
	w.t.Helper()
	for _, name := range []string{"worker1", "worker2"} {
		w.kill(name)
	}
	w.start("worker1")
	time.Sleep(time.Second)
	if err := w.running["worker1"].Process.Signal(os.Interrupt); err != nil {
		w.t.Error(err)
	}
	_ = w.running["worker1"].Wait() // judged by what it leaves
	delete(w.running, "worker1")
	delete(w.running, "worker2")
	procs, err := filepath.Glob("/proc/[0-9]*/cwd")
	if err != nil {
		w.t.Fatal(err)
	}
	for _, p := range procs {
		at, err := os.Readlink(p)
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(p)))
		if err != nil || at != w.s.dir || pid == w.pid("server") || pid == w.pid("submitter") || syscall.Kill(pid, 0) != nil {
			continue
		}
		w.t.Errorf("process %d is left", pid)
	}
}

func (w *world) pid(name string) int {
	if cmd := w.running[name]; cmd != nil {
		return cmd.Process.Pid
	}
	return 0
}

// Everything is killed at random, and the disk filled once: every job has one
// end, its object has the right bytes, no two jobs of a target ran at once, and
// no child is left.
func TestChaos(t *testing.T) {
	seed, jobs := number("SEED", 1), number("JOBS", 100)
	w := newWorld(t, uint64(seed), jobs, true)
	w.run(max(6, jobs/5))
	w.check()
	if n, example := w.overlaps(); n > 0 {
		t.Errorf("%d times two jobs of a target ran at once: %s", n, example)
	}
	w.noChildren()
}

// The same without leases must show two jobs of a target at once: otherwise
// TestChaos could not fail.
func TestChaosWithoutLeases(t *testing.T) {
	jobs := min(number("JOBS", 100), 40)
	w := newWorld(t, uint64(number("SEED", 1)), jobs, false)
	w.run(4)
	if n, _ := w.overlaps(); n == 0 {
		t.Error("no two jobs of a target ran at once")
	}
}
