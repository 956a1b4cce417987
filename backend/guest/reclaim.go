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

// Tracked returns a guest whose work directories are recorded as children, so that a
// later process can remove those of a process that was killed.
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

// workDirName matches the names that TempDir gives to directories in every kind of
// guest.
var workDirName = regexp.MustCompile(`^ingot-[a-z]+-[A-Za-z0-9]+$`)

// killScript ends every process whose working directory or root (as in a chroot) is in
// the directory $1, until there is none. It fails if one cannot be ended.
const killScript = `dir=$1; [ -d "$dir" ] || exit 0
for round in 1 2 3 4 5 6 7 8 9 10; do
	found=
	for p in /proc/[0-9]*; do
		for link in cwd root; do
			case $(readlink "$p/$link" 2>/dev/null) in
			"$dir"|"$dir"/*) [ "${p#/proc/}" = "$$" ] || { kill -KILL "${p#/proc/}" 2>/dev/null; found="$found ${p#/proc/}"; } ;;
			esac
		done
	done
	[ -n "$found" ] || break
	sleep 0.2
done
[ -z "$found" ] || { echo "these processes cannot be ended:$found" >&2; exit 1; }
`

// removeScript unmounts what is mounted below the directory $1 and removes the
// directory. If something cannot be unmounted it removes nothing, since the mount may
// be the host's /dev. Names in /proc/mounts have spaces as \040 (proc(5)). Files from a
// user namespace belong to other users; the namespace's root removes them.
const removeScript = `dir=$1; [ -d "$dir" ] || exit 0
mounts() { awk -v d="$(printf %s "$dir/" | sed 's/ /\\\\040/g')" 'index($2, d) == 1 {print $2}' /proc/mounts 2>/dev/null | sort -r; }
mounts | while IFS= read -r m; do m=$(printf %b "$m"); umount "$m" 2>/dev/null || umount -l "$m" 2>/dev/null; done
[ -z "$(mounts)" ] || { echo "mounted below $dir:" $(mounts) >&2; exit 1; }
rm -rf --one-file-system -- "$dir" 2>/dev/null && exit
if [ "$(id -u)" != 0 ]; then unshare --map-root-user --map-auto rm -rf -- "$dir" 2>/dev/null && exit; fi
rm -rf -- "$dir"
`

// remove removes a directory in a guest. If it cannot be removed, a process that outlived
// its command may still write there: what works in a work directory is ended then, and
// the removal is tried once more.
func remove(ctx context.Context, g Guest, dir string) error {
	err := g.Run(ctx, Cmd{Argv: []string{"sh", "-c", removeScript, "remove", dir}, Dir: "/"})
	if err == nil || ctx.Err() != nil || !workDirName.MatchString(path.Base(dir)) {
		return err
	}
	return Reclaim(ctx, g, dir)
}

// Reclaim ends the processes in a work directory that a dead process left in the guest,
// unmounts what is mounted below it, and removes it, in this order. An error means that
// something remains. It refuses names that TempDir does not generate.
func Reclaim(ctx context.Context, g Guest, dir string) error {
	if !path.IsAbs(dir) || path.Clean(dir) != dir || !workDirName.MatchString(path.Base(dir)) {
		return fmt.Errorf("reclaim %s in guest %s: it is not a work directory", dir, g.Name())
	}
	if err := g.Run(ctx, Cmd{Argv: []string{"sh", "-c", killScript + removeScript, "reclaim", dir}, Dir: "/"}); err != nil {
		return fmt.Errorf("reclaim %s in guest %s: %w", dir, g.Name(), err)
	}
	return nil
}
