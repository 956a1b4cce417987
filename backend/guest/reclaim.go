package guest

import (
	"context"
	"errors"
	"fmt"
	"path"
	"regexp"
	"sync"

	"ingot/backend/event"
)

// Tracked is a guest whose work directories are recorded as children, so that
// a later process can take back those that this one leaves when it is killed.
func Tracked(g Guest, c event.Children) Guest {
	return &tracked{Guest: g, children: c, dirs: map[string]event.Child{}}
}

type tracked struct {
	Guest
	children event.Children
	mu       sync.Mutex
	dirs     map[string]event.Child
}

func (t *tracked) TempDir(ctx context.Context, label string) (string, error) {
	dir, err := t.Guest.TempDir(ctx, label)
	if err != nil {
		return "", err
	}
	child, err := t.children.Add(event.Child{Guest: t.Name(), Folder: dir})
	if err != nil {
		return "", errors.Join(err, t.Guest.Remove(context.WithoutCancel(ctx), dir))
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.dirs[dir] = child
	return dir, nil
}

func (t *tracked) Remove(ctx context.Context, dir string) error {
	if err := t.Guest.Remove(ctx, dir); err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	child, ok := t.dirs[dir]
	if !ok {
		return nil
	}
	delete(t.dirs, dir)
	return child.Forget()
}

// workDirName is what TempDir calls directories in every kind of guest.
var workDirName = regexp.MustCompile(`^ingot-[a-z]+-[A-Za-z0-9]+$`)

// reclaimScript ends every process that works in the directory $1, until none
// does, and removes it. What a user namespace made belongs to other users; the
// namespace's root removes it.
const reclaimScript = `dir=$1; [ -d "$dir" ] || exit 0
for round in 1 2 3 4 5 6 7 8 9 10; do
	found=
	for p in /proc/[0-9]*; do
		case $(readlink "$p/cwd" 2>/dev/null) in
		"$dir"|"$dir"/*) [ "${p#/proc/}" = "$$" ] || { kill -KILL "${p#/proc/}" 2>/dev/null; found=1; } ;;
		esac
	done
	[ -n "$found" ] || break
	sleep 0.2
done
rm -rf -- "$dir" 2>/dev/null || unshare --map-root-user --map-auto rm -rf -- "$dir"`

// Reclaim ends what still runs in a work directory that a dead process left in
// the guest, and removes the directory. It touches nothing whose name TempDir
// would not give.
func Reclaim(ctx context.Context, g Guest, dir string) error {
	if !path.IsAbs(dir) || path.Clean(dir) != dir || !workDirName.MatchString(path.Base(dir)) {
		return fmt.Errorf("reclaim %s in guest %s: it is no work directory", dir, g.Name())
	}
	if err := g.Run(ctx, Cmd{Argv: []string{"sh", "-c", reclaimScript, "reclaim", dir}, Dir: "/"}); err != nil {
		return fmt.Errorf("reclaim %s in guest %s: %w", dir, g.Name(), err)
	}
	return nil
}
