package vm

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"ingot/backend"
	"ingot/backend/cause"
	"ingot/backend/guest/guesttest"
	"ingot/backend/guest/lima"
)

// aLoader is a limactl whose VM has a boot loader: it boots the kernel of the file
// "next" once, else that of "default". The release "broken" never comes up.
const aLoader = `case $1 in
stop)
	echo stop $2 >>$dir/log
	[ "$(cat $dir/next)" != stays ] || { echo 'it does not stop' >&2; exit 1; }
	kill $(cat $dir/ha.pid $dir/qemu.pid); rm $dir/*.pid ;;
start)
	for p in ha qemu; do
		setsid sh -c 'while :; do sleep 1; done' $dir >/dev/null 2>&1 &
		echo $! >$dir/$p.pid
		echo $! >>$dir/spawned
	done
	k=$(cat $dir/default)
	[ ! -s $dir/next ] || { k=$(cat $dir/next); rm $dir/next; }
	echo start $k >>$dir/log
	echo $k >$dir/runs
	[ $k = broken ] && { echo '{"status":{}}' >$dir/ha.stdout.log; exit 1; }
	echo '{"status":{"running":true}}' >$dir/ha.stdout.log ;;
shell) [ $4 != uname ] || cat $dir/runs ;;
esac`

// A kernel becomes the default only after it was seen to run. If it does not come up,
// the VM runs its previous kernel again.
func TestTrial(t *testing.T) {
	old := goDownLimit
	goDownLimit = time.Second
	t.Cleanup(func() { goDownLimit = old })
	for name, c := range map[string]struct {
		next, runs string // the kernel to boot once; the kernel that runs in the end
		fails      string // part of the error
		log        string
	}{
		"good":              {"new", "new", "", "stop one;start new;keep"},
		"does not come up":  {"broken", "old", "one runs the kernel again that it had", "stop one;start broken;stop --force;start old"},
		"a loader of once":  {"", "new", "", "stop one;start old;keep;stop one;start new"},
		"it does not stop":  {"stays", "old", "it does not stop", "stop one"}, // and it is not killed
		"another one comes": {"third", "third", "instead of new", "stop one;start third"},
	} {
		t.Run(name, func(t *testing.T) {
			vm, dir := guesttest.RunningVM(t, "qemu", aLoader)
			t.Cleanup(func() { killAll(t, filepath.Join(dir, "spawned")) })
			put := func(file, text string) {
				if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			get := func(file string) string {
				b, err := os.ReadFile(filepath.Join(dir, file))
				if err != nil {
					t.Fatal(err)
				}
				return strings.TrimSpace(string(b))
			}
			put("runs", "old")
			put("default", "old")
			put("next", c.next)
			put("ha.stdout.log", `{"status":{"running":true}}`)
			l, err := lima.Find(t.Context(), lima.Store{})
			if err != nil {
				t.Fatal(err)
			}
			k := trial{b: &backend.Backend{}, limactl: l, vm: vm, release: "new", notify: func(msg string) { t.Log(msg) }, keep: func() error {
				put("default", "new")
				put("log", get("log")+"\nkeep\n")
				return nil
			}}
			err = k.run(t.Context())
			if (err == nil) != (c.fails == "") || err != nil && !strings.Contains(err.Error(), c.fails) {
				t.Errorf("%v (%s), want %q", err, cause.IDOf(err), c.fails)
			}
			if runs, log := get("runs"), strings.ReplaceAll(get("log"), "\n", ";"); runs != c.runs || log != c.log {
				t.Errorf("it runs %s, want %s; limactl was told %s, want %s", runs, c.runs, log, c.log)
			}
			if now, err := Find(vm); err != nil || now.Status != Running {
				t.Errorf("%s %s, %v", now.Status, now.Problem, err)
			}
		})
	}
}

// killAll kills the processes whose ids a file lists.
func killAll(t *testing.T, file string) {
	b, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	for _, pid := range strings.Fields(string(b)) {
		n, err := strconv.Atoi(pid)
		if err != nil {
			t.Error(err)
			continue
		}
		if err := syscall.Kill(n, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			t.Error(err)
		}
	}
}
