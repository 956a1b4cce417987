// Package family defines how the targets of one family of systems are made: the
// interfaces that the build's steps call, and types that all families share.
//
// A family is a folder below this one with its scripts, and a line in the table of
// package all. All its commands and files go through guest.Guest, so that it works
// unchanged on the local Linux host, over ssh and in Lima. It gets verified inputs as
// files and writes outputs to a folder of the caller; it does not depend on caches,
// evidence or queues.
package family

import (
	"context"
	"io"
	"time"

	"ingot/backend/evidence"
	"ingot/backend/guest"
	"ingot/backend/sanitise"
	"ingot/backend/target"
)

// Family is what systems have in common beyond a recipe. It has no state, and its
// methods are safe for concurrent use.
type Family interface {
	// Name returns the family's name, which is also that of its folder.
	Name() string
	// Systems returns the values of a recipe's os that belong to the family. No two
	// families share one.
	Systems() []string
	// Check returns the mistakes of a recipe that the family cannot build. It examines
	// only the recipe. Package target finds the mistakes that do not depend on the
	// family.
	Check(r target.Recipe) []target.Problem
	// Resolve fetches the archives' indexes, resolves w.Recipe's packages with all
	// dependencies, and returns the new lock, with now as its time. mirrors are those
	// of Mirrors. It is the only method that accesses the network. It uses only
	// w.Guest, w.Recipe and w.Log.
	Resolve(ctx context.Context, w *Work, mirrors Mirrors, now time.Time) (target.Lock, error)
	// Mirrors returns the address to fetch from for each archive of the recipe.
	// configured has the user's mirrors, by the archives' names. An archive without a
	// known mirror has its public address.
	Mirrors(ctx context.Context, g guest.Guest, r target.Recipe, configured map[string]string) Mirrors
	// SourceURLs returns public addresses of the source of a locked package.
	SourceURLs(r target.Recipe, p target.LockedPackage) []string
	// Inputs returns what a step's output depends on in addition to the recipe, as
	// names and values for its input key: its scripts and the programs that they call,
	// what the lock pins for it, and the time that it writes. step is StepKernel,
	// StepRootfs, StepImage or StepTools. The same arguments must give the same values
	// in every version of Ingot that makes the same outputs from them: another name or
	// value invalidates the builds of every home.
	Inputs(step string, l target.Lock) map[string]string
}

// The steps that a family implements.
const (
	StepKernel = "kernel"
	StepRootfs = "rootfs"
	StepImage  = "image"
	StepTools  = "tools" // the disk with the smoke checks' programs
)

// Composer is a family that composes disks of packages: the strategy compose. Its
// methods write their files to the folder out, and leave nothing in the guest unless
// w.Keep is set. The same inputs give the same bytes.
type Composer interface {
	Family
	// MissingTools returns what a guest with the facts f lacks for the steps of a
	// recipe; nil if nothing is missing.
	MissingTools(ctx context.Context, g guest.Guest, f guest.Facts, r target.Recipe) ([]Tool, error)
	// InstallCommands returns the commands that install in such a guest what
	// MissingTools found, as far as commands can. They need root.
	InstallCommands(missing []Tool) []string
	// CheckFragments parses the kernel's configuration fragments and returns how many
	// settings they make. A mistake is an error with the cause config.symbol.
	CheckFragments(fragments []Fragment) (int, error)
	// BuildKernel compiles the locked source into KernelFiles. The release's name ends
	// with a part of key, the step's input key, so that a running system shows from
	// which inputs its kernel was built.
	BuildKernel(ctx context.Context, w *Work, key string, fragments []Fragment, out string) (Kernel, error)
	// BuildRootfs installs the locked packages into rootfs.tar.
	BuildRootfs(ctx context.Context, w *Work, out string) error
	// BuildDisk writes root file system and kernel to disk.raw, with TreeFile, and
	// root.tar if requested. All identifiers of disk and file systems are derived from
	// key, the step's input key.
	BuildDisk(ctx context.Context, w *Work, key string, in DiskInputs, out string) (Disk, error)
	// BuildTools writes the programs of the smoke checks to tools.iso.
	BuildTools(ctx context.Context, w *Work, out string) error
	// Compare describes the first difference between two versions of an output file, at
	// the paths a and b; "" if their bytes are equal.
	Compare(r target.Recipe, a, b string) (string, error)
}

// Installer installs kernels in running systems.
type Installer interface {
	// Install installs a built kernel in the running system of a guest: vmlinuz,
	// config, System.map and modules.tar are in the folder files. It needs root, or
	// `sudo -n`. The next boot of the guest runs the new kernel, once; KeepKernel makes
	// it permanent.
	Install(ctx context.Context, g guest.Guest, files, release string, log io.Writer) error
	// KeepKernel makes a kernel that Install has installed the default of the guest's
	// loader.
	KeepKernel(ctx context.Context, g guest.Guest, release string, log io.Writer) error
}

// Sanitiser prepares a running system for distribution.
type Sanitiser interface {
	// Sanitise removes from a running guest what an image for distribution must not
	// contain: keys, accounts, ids, histories, logs, and the blocks of deleted files.
	// It needs root, or `sudo -n`. Afterwards no account can log in: the caller shuts
	// the guest down and copies its disk. The leak scan of that disk verifies the
	// result. What could not be removed is an error with the cause image.leftover.
	Sanitise(ctx context.Context, g guest.Guest, o SanitiseOptions) (evidence.Sanitised, error)
	// SanitiseRules returns the rules that Sanitise applies.
	SanitiseRules() (*sanitise.Rules, error)
}

// SanitiseOptions say how a guest is sanitised.
type SanitiseOptions struct {
	Choice sanitise.Choice // of the recipe
	Free   FreeBlocks
	DryRun bool      // only measure what would be removed
	Log    io.Writer // gets what could not be removed; must not be nil
}

// FreeBlocks says what Sanitise does with the blocks of deleted files.
type FreeBlocks string

const (
	// OverwriteFree fills all free blocks with zeros, which takes as long as writing them.
	OverwriteFree FreeBlocks = "overwrite"
	// KeepFree leaves out those of ext4: the caller leaves them out of its copy of the
	// disk.
	KeepFree FreeBlocks = "keep"
)

// System is an operating system that Ingot can change in a running guest without a
// recipe, such as the user's own VM.
type System interface {
	// OS returns the value of guest.Facts.OS.
	OS() string
	// ChangeInputs returns what the result of the system's changes depends on, as names and
	// values for an input key: the text of its scripts.
	ChangeInputs() map[string]string
	Installer
	Sanitiser
}
