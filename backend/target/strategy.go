package target

import (
	"errors"
	"fmt"
	"io/fs"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"ingot/backend/cause"
	"ingot/backend/sanitise"
)

// Strategies are the ways to make a target's disk. Compose is the default.
const (
	Compose = "compose" // packages are unpacked onto a new disk
	Image   = "image"   // an upstream image is changed inside a guest
	Install = "install" // an upstream installer is driven over the console
	VM      = "vm"      // the disk of a VM that the user has
)

var strategies = []string{Compose, Image, Install, VM}

// How returns the recipe's strategy.
func (r Recipe) How() string {
	if r.Strategy == "" {
		return Compose
	}
	return r.Strategy
}

// NotYetError reports that a recipe is valid but asks for something that this version
// cannot do.
type NotYetError struct {
	Target string
	Key    string // "strategy", or a key that would be ignored
	Value  string // "" where the key has keys of its own
}

func (e *NotYetError) Error() string {
	if e.Key == "strategy" {
		return fmt.Sprintf("target %s has the strategy %q, which this version of Ingot checks but cannot build yet; it builds %q, and %q for %s", e.Target, e.Value, Compose, VM, strings.Join(linuxSystems, ", "))
	}
	return fmt.Sprintf("target %s has the key %q, which this version of Ingot checks but does not use yet: build it without the key", e.Target, strings.TrimSuffix(e.Key+": "+e.Value, ": "))
}

// CauseID returns the cause.
func (*NotYetError) CauseID() string { return "strategy.not-yet" }

// ErrorClass returns the class of the error; see package cause.
func (*NotYetError) ErrorClass() cause.Class { return cause.Input }

// Buildable returns a *NotYetError if this version cannot build the recipe's strategy,
// or would ignore one of its keys.
func (r Recipe) Buildable() error {
	if how := r.How(); how != Compose && how != VM {
		return &NotYetError{r.Name, "strategy", how}
	}
	if r.How() == VM && !slices.Contains(linuxSystems, r.OS) {
		return &NotYetError{r.Name, "strategy", VM}
	}
	console := Console{}
	if r.Console != nil {
		console = *r.Console
	}
	for _, k := range []struct {
		key, value string
		set        bool
	}{
		{"access", "", r.Access != nil}, {"seed", "", r.Seed != nil}, {"sanitise", "", r.Sanitise != nil && r.How() != VM}, {"zero", r.Zero, r.Zero != ""}, {"iso", "", r.ISO != nil},
		{"fallback", "", r.Fallback != nil}, {"grow", r.Grow, r.Grow != ""}, {"proofs", r.Proofs, r.Proofs != ""},
		{"changes.packages", "", r.Changes != nil && len(r.Changes.Packages) > 0 && !slices.Contains(aptSystems, r.OS)}, {"install", "", r.Install != nil}, {"build", "", r.Build != nil}, {"proof.smoke", "", r.How() == VM && len(r.Proof.Smoke.Checks) > 0},
		{"console.port", console.Port, console.Port != ""}, {"console.shell", console.Shell, console.Shell != "" && console.Shell != "sh"},
	} {
		if k.set {
			return &NotYetError{r.Name, k.key, k.value}
		}
	}
	return nil
}

// Media is a file from upstream: an image, an installer, a source.
type Media struct {
	Name      string     `yaml:"name" json:"name"`
	URL       []string   `yaml:"url" json:"url"` // mirrors of the same bytes, an archive last
	Checksum  Checksum   `yaml:"checksum" json:"checksum"`
	Signature *Signature `yaml:"signature,omitempty" json:"signature,omitempty"`
	Format    string     `yaml:"format,omitempty" json:"format,omitempty"` // raw, qcow2, iso, tar
	Window    Size       `yaml:"window,omitempty" json:"window,omitempty"` // window size of a zstd file, if it is larger than usual
}

// Checksum locates the digest of a media file. A File that begins with + is a suffix of
// the media file's own address.
type Checksum struct {
	File string `yaml:"file,omitempty" json:"file,omitempty"`
	Form string `yaml:"form,omitempty" json:"form,omitempty"` // gnu, bsd, bare, tab
	Pin  string `yaml:"pin,omitempty" json:"pin,omitempty"`   // sha256:… or sha512:…
}

// Signature describes how the checksum file, or the media file itself, is signed.
type Signature struct {
	Kind string `yaml:"kind" json:"kind"` // gpg, signify
	Key  string `yaml:"key,omitempty" json:"key,omitempty"`
	File string `yaml:"file,omitempty" json:"file,omitempty"`
}

// Machine is the board on which a target is proved and changed.
type Machine struct {
	QEMU      *Board `yaml:"qemu,omitempty" json:"qemu,omitempty"`
	MinMemory Size   `yaml:"minMemory,omitempty" json:"minMemory,omitempty"`
	VZ        string `yaml:"vz,omitempty" json:"vz,omitempty"` // yes, no, unknown: whether Apple's Virtualization framework boots it
}

// Board is QEMU's machine type with its devices.
type Board struct {
	Type     string            `yaml:"type,omitempty" json:"type,omitempty"` // value of -machine, like "virt,acpi=off"
	CPU      map[string]string `yaml:"cpu,omitempty" json:"cpu,omitempty"`   // value of -cpu, by accelerator: hvf, kvm, tcg
	Firmware string            `yaml:"firmware,omitempty" json:"firmware,omitempty"`
	Bus      string            `yaml:"bus,omitempty" json:"bus,omitempty"` // pci, mmio
	Disk     string            `yaml:"disk,omitempty" json:"disk,omitempty"`
	NIC      string            `yaml:"nic,omitempty" json:"nic,omitempty"`
	Extra    []string          `yaml:"extra,omitempty" json:"extra,omitempty"`
}

// Console describes what a system prints on its serial console. Patterns are Go regular
// expressions; they are added to the common ones.
type Console struct {
	Port      string              `yaml:"port,omitempty" json:"port,omitempty"`
	Marks     map[string][]string `yaml:"marks,omitempty" json:"marks,omitempty"` // by phase: firmware, loader, kernel, init, login
	Panic     []string            `yaml:"panic,omitempty" json:"panic,omitempty"`
	Stuck     []string            `yaml:"stuck,omitempty" json:"stuck,omitempty"`
	Reboots   int                 `yaml:"reboots,omitempty" json:"reboots,omitempty"` // number of reboots that are part of a first boot
	Prompt    string              `yaml:"prompt,omitempty" json:"prompt,omitempty"`
	Login     *Account            `yaml:"login,omitempty" json:"login,omitempty"`
	Shell     string              `yaml:"shell,omitempty" json:"shell,omitempty"` // sh, csh, ksh
	Deadlines map[string]Duration `yaml:"deadlines,omitempty" json:"deadlines,omitempty"`
}

// Account is a login on the console.
type Account struct {
	User     string `yaml:"user" json:"user"`
	Password string `yaml:"password,omitempty" json:"password,omitempty"`
}

// Identity describes how to read from a running guest which kernel it runs.
type Identity struct {
	Run  string `yaml:"run" json:"run"`
	Want string `yaml:"want" json:"want"` // buildId, release, token
}

// Access describes how Ingot's ssh key is added to a guest.
type Access struct {
	Seed  string `yaml:"seed" json:"seed"` // nocloud, creds-msdos, autoinstall, console
	Label string `yaml:"label,omitempty" json:"label,omitempty"`
	User  string `yaml:"user,omitempty" json:"user,omitempty"`
}

// Step is one step of a dialogue over the console.
type Step struct {
	Expect    string   `yaml:"expect" json:"expect"`
	Send      string   `yaml:"send" json:"send"`
	Within    Duration `yaml:"within,omitempty" json:"within,omitempty"`
	Quiet     Duration `yaml:"quiet,omitempty" json:"quiet,omitempty"`
	Secret    bool     `yaml:"secret,omitempty" json:"secret,omitempty"` // the text that is sent is hidden in logs
	Otherwise string   `yaml:"otherwise,omitempty" json:"otherwise,omitempty"`
}

// KernelBuild describes where and how a kernel is built that is not a Debian package.
type KernelBuild struct {
	Where  string            `yaml:"where" json:"where"` // local, guest, linux-guest, none
	Script string            `yaml:"script,omitempty" json:"script,omitempty"`
	Source map[string]string `yaml:"source,omitempty" json:"source,omitempty"`
	Config []string          `yaml:"config,omitempty" json:"config,omitempty"`
	Env    map[string]string `yaml:"env,omitempty" json:"env,omitempty"`
	Disk   Size              `yaml:"disk,omitempty" json:"disk,omitempty"`
	Memory Size              `yaml:"memory,omitempty" json:"memory,omitempty"`
	Note   string            `yaml:"note,omitempty" json:"note,omitempty"`
}

// KernelInstall describes how a built kernel is installed in a guest.
type KernelInstall struct {
	Script string `yaml:"script" json:"script"`
	Once   string `yaml:"once,omitempty" json:"once,omitempty"` // grub, nextboot, bootcfg, none: how to make the loader boot it only once
}

// SourceVM names the user's VM whose disk is used.
type SourceVM struct {
	Lima   string `yaml:"lima" json:"lima"`                         // name of the instance
	Kernel string `yaml:"kernel,omitempty" json:"kernel,omitempty"` // target whose kernel is built and installed in the copy; "" keeps the VM's own
}

// SourceInstance returns the name of the Lima instance of a recipe with the strategy VM.
func (r Recipe) SourceInstance() string {
	if r.VM == nil {
		return ""
	}
	return r.VM.Lima
}

// KernelRecipe returns the recipe of the kernel: for the strategy VM that of the target
// that vm.kernel names, if it names one, else the recipe itself.
func (r Recipe) KernelRecipe() Recipe {
	if r.kernel != nil {
		return *r.kernel
	}
	return r
}

// HasKernel reports whether a kernel is built for the recipe's disk.
func (r Recipe) HasKernel() bool { return r.How() != VM || r.kernel != nil }

// Locked reports whether the recipe has a lock: the disk of a VM is not made of packages
// that a lock pins, but its new kernel is.
func (r Recipe) Locked() bool { return r.HasKernel() }

// findKernel resolves the target that vm.kernel names.
func (s *Set) findKernel(r *Recipe, chain []string) []Problem {
	r.kernel = nil // of a recipe that it extends
	if r.How() != VM || r.VM == nil || r.VM.Kernel == "" {
		return nil
	}
	wrong := func(format string, args ...any) []Problem {
		return []Problem{{"$.vm.kernel", "vm.kernel", fmt.Sprintf(format, args...)}}
	}
	if slices.Contains(append(chain, r.Name), r.VM.Kernel) {
		return wrong("%q is this target: accepted: a target of the strategy compose", r.VM.Kernel)
	}
	k, err := s.resolve(r.VM.Kernel, append(chain, r.Name))
	if errors.Is(err, fs.ErrNotExist) {
		known, _ := s.names() // another error would have been reported before
		return wrong("there is no target %q; accepted: %s", r.VM.Kernel, strings.Join(known, ", "))
	}
	if err != nil {
		return wrong("target %q cannot be used: %v", r.VM.Kernel, err)
	}
	if k.How() != Compose || k.Arch != r.Arch {
		return wrong("target %q is of the strategy %s for %s; accepted: one of the strategy compose for %s", k.Name, k.How(), k.Arch, r.Arch)
	}
	r.kernel = &k
	return nil
}

// Changes are made in a guest before it is sanitised.
type Changes struct {
	Packages []string `yaml:"packages,omitempty" json:"packages,omitempty"`
	Files    []File   `yaml:"files,omitempty" json:"files,omitempty"`
	Commands []string `yaml:"commands,omitempty" json:"commands,omitempty"`
}

// ISO is the form of an exported ISO.
type ISO struct {
	Label    string `yaml:"label,omitempty" json:"label,omitempty"`
	Compress string `yaml:"compress,omitempty" json:"compress,omitempty"`
	Cmdline  string `yaml:"cmdline,omitempty" json:"cmdline,omitempty"`
}

// Licence is what a person must know before distributing the image.
type Licence struct {
	SPDX   string `yaml:"spdx" json:"spdx"`
	Note   string `yaml:"note,omitempty" json:"note,omitempty"`
	Source string `yaml:"source,omitempty" json:"source,omitempty"`
}

// Further holds the keys that were added to recipes with the strategies. A key that is
// left out has its zero value and does not enter the recipe's digest.
type Further struct {
	Strategy     string           `yaml:"strategy,omitempty" json:"strategy,omitempty"`
	Licence      *Licence         `yaml:"licence,omitempty" json:"licence,omitempty"`
	Experimental string           `yaml:"experimental,omitempty" json:"experimental,omitempty"` // the reason why it is experimental
	Machine      *Machine         `yaml:"machine,omitempty" json:"machine,omitempty"`
	Console      *Console         `yaml:"console,omitempty" json:"console,omitempty"`
	Identity     *Identity        `yaml:"identity,omitempty" json:"identity,omitempty"`
	Access       *Access          `yaml:"access,omitempty" json:"access,omitempty"`
	Seed         map[string]any   `yaml:"seed,omitempty" json:"seed,omitempty"`
	VM           *SourceVM        `yaml:"vm,omitempty" json:"vm,omitempty"`
	Changes      *Changes         `yaml:"changes,omitempty" json:"changes,omitempty"`
	Install      *KernelInstall   `yaml:"install,omitempty" json:"install,omitempty"`
	Sanitise     *sanitise.Choice `yaml:"sanitise,omitempty" json:"sanitise,omitempty"`
	Zero         string           `yaml:"zero,omitempty" json:"zero,omitempty"`
	ISO          *ISO             `yaml:"iso,omitempty" json:"iso,omitempty"`
	Media        []Media          `yaml:"media,omitempty" json:"media,omitempty"`
	Dialogue     []Step           `yaml:"dialogue,omitempty" json:"dialogue,omitempty"`
	Answers      string           `yaml:"answers,omitempty" json:"answers,omitempty"`
	Build        *KernelBuild     `yaml:"build,omitempty" json:"build,omitempty"`
	Fallback     *Machine         `yaml:"fallback,omitempty" json:"fallback,omitempty"`
	Grow         string           `yaml:"grow,omitempty" json:"grow,omitempty"`
	Proofs       string           `yaml:"proofs,omitempty" json:"proofs,omitempty"`

	// Packages, Files and Links change the lists of rootfs that the recipe extends. The
	// resolved recipe does not have them.
	Packages *PackageChanges `yaml:"packages,omitempty" json:"packages,omitempty"`
	Files    *FileChanges    `yaml:"files,omitempty" json:"files,omitempty"`
	Links    *LinkChanges    `yaml:"links,omitempty" json:"links,omitempty"`
}

// PackageChanges change rootfs.packages.
type PackageChanges struct {
	Manager string   `yaml:"manager,omitempty" json:"manager,omitempty"` // apt; "" is the default of the family
	Add     []string `yaml:"add,omitempty" json:"add,omitempty"`
	Remove  []string `yaml:"remove,omitempty" json:"remove,omitempty"`
}

// FileChanges change rootfs.files: a file with the path of an existing one replaces it.
type FileChanges struct {
	Add    []File   `yaml:"add,omitempty" json:"add,omitempty"`
	Remove []string `yaml:"remove,omitempty" json:"remove,omitempty"` // paths
}

// LinkChanges change rootfs.links in the same way.
type LinkChanges struct {
	Add    []Link   `yaml:"add,omitempty" json:"add,omitempty"`
	Remove []string `yaml:"remove,omitempty" json:"remove,omitempty"` // paths
}

// applyChanges changes the inherited lists. It returns a problem for each item to
// remove that does not exist.
func (r *Recipe) applyChanges() (ps []Problem) {
	if c := r.Packages; c != nil {
		if c.Manager != "" && c.Manager != "apt" {
			ps = append(ps, Problem{"$.packages.manager", "packages.manager", fmt.Sprintf("%q is not known; accepted: apt", c.Manager)})
		}
		r.Rootfs.Packages, ps = change(r.Rootfs.Packages, c.Add, c.Remove, "packages", func(p string) string { return p }, ps)
	}
	if c := r.Files; c != nil {
		r.Rootfs.Files, ps = change(r.Rootfs.Files, c.Add, c.Remove, "files", func(f File) string { return f.Path }, ps)
	}
	if c := r.Links; c != nil {
		r.Rootfs.Links, ps = change(r.Rootfs.Links, c.Add, c.Remove, "links", func(l Link) string { return l.Path }, ps)
	}
	r.Packages, r.Files, r.Links = nil, nil, nil
	return ps
}

// change removes items by name and adds others; an item with the name of an existing
// one replaces it.
func change[T any](list, add []T, remove []string, key string, name func(T) string, ps []Problem) ([]T, []Problem) {
	list = slices.Clone(list)
	at := func(n string) int { return slices.IndexFunc(list, func(i T) bool { return name(i) == n }) }
	for i, n := range remove {
		j := at(n)
		if j < 0 {
			ps = append(ps, Problem{fmt.Sprintf("$.%s.remove[%d]", key, i), key + ".remove", fmt.Sprintf("%q is not in the extended list: `ingot target show` prints the list", n)})
			continue
		}
		list = slices.Delete(list, j, j+1)
	}
	for _, i := range add {
		if j := at(name(i)); j >= 0 {
			list[j] = i
		} else {
			list = append(list, i)
		}
	}
	return list, ps
}

// systemsToCome are the accepted systems of the strategies that are validated but
// cannot be built yet. Those of Compose are in the table of the families.
var systemsToCome = []string{"debian", "ubuntu", "alpine", "freebsd", "netbsd", "openbsd", "illumos"}

// linuxSystems are the systems whose running machines can be changed; aptSystems are those
// whose packages apt installs.
var (
	aptSystems   = []string{"debian", "ubuntu"}
	linuxSystems = append(slices.Clone(aptSystems), "alpine")
)

// validateStrategy checks the keys that depend on the strategy.
func (r Recipe) validateStrategy() (ps []Problem) {
	how := r.How()
	if ps = OneOf("$.strategy", "strategy", how, strategies); len(ps) > 0 {
		return ps
	}
	if how != Compose {
		ps = append(ps, OneOf("$.os", "os", r.OS, systemsToCome)...)
	}
	only := func(key string, set bool, by ...string) {
		if set && !slices.Contains(by, how) {
			ps = append(ps, Problem{"$." + key, key, fmt.Sprintf("is for the strategy %s; this recipe's is %s", strings.Join(by, " or "), how)})
		}
	}
	if how == VM {
		only("archives", len(r.Archives) > 0, Compose)
		only("kernel", !reflect.ValueOf(r.Kernel).IsZero(), Compose)
		only("rootfs", !reflect.ValueOf(r.Rootfs).IsZero(), Compose)
		only("disk", r.Disk != Disk{}, Compose)
		only("lock", r.Lock != "", Compose)
	}
	only("vm", r.VM != nil, VM)
	only("media", len(r.Media) > 0, Image, Install)
	only("dialogue", len(r.Dialogue) > 0, Image, Install)
	only("answers", r.Answers != "", Install)
	only("changes", r.Changes != nil, VM, Image, Install)
	only("install", r.Install != nil, VM, Image, Install)
	only("build", r.Build != nil, VM, Image, Install)
	switch how {
	case VM:
		ps = append(ps, Required("$.vm", "vm.lima", r.SourceInstance() == "")...)
		ps = append(ps, r.Changes.validate()...)
		ps = append(ps, r.validateSanitise()...)
	case Image, Install:
		ps = append(ps, Required("$.media", "media", len(r.Media) == 0)...)
		for i, m := range r.Media {
			ps = append(ps, m.validate(i)...)
		}
	}
	ps = append(ps, r.Identity.validate()...)
	ps = append(ps, r.Machine.validate("machine", r.Arch)...)
	ps = append(ps, r.Fallback.validate("fallback", r.Arch)...)
	ps = append(ps, r.Console.validate()...)
	if r.Access != nil {
		ps = append(ps, OneOf("$.access.seed", "access.seed", r.Access.Seed, []string{"nocloud", "creds-msdos", "autoinstall", "console"})...)
	}
	return ps
}

// packageName matches the name of a package of Debian, with a version or release.
var packageName = regexp.MustCompile(`^[a-z0-9][a-z0-9+.-]*(:[a-z0-9]+)?([=/][A-Za-z0-9.+~:-]+)?$`)

func (c *Changes) validate() (ps []Problem) {
	if c == nil {
		return nil
	}
	for i, p := range c.Packages {
		if !packageName.MatchString(p) {
			ps = append(ps, Problem{fmt.Sprintf("$.changes.packages[%d]", i), "changes.packages", fmt.Sprintf("%q is not the name of a package; accepted: NAME, NAME=VERSION, NAME/RELEASE", p)})
		}
	}
	ps = append(ps, filesProblems("changes.files", c.Files)...)
	for i, command := range c.Commands {
		if strings.TrimSpace(command) == "" {
			ps = append(ps, Problem{fmt.Sprintf("$.changes.commands[%d]", i), "changes.commands", "is empty; accepted: a command for the shell of the machine, which runs as root"})
		}
	}
	return ps
}

func (m Media) validate(i int) (ps []Problem) {
	at, key := fmt.Sprintf("$.media[%d]", i), fmt.Sprintf("media[%d]", i)
	ps = append(ps, Required(at, key+".name", m.Name == "")...)
	ps = append(ps, Required(at, key+".url", len(m.URL) == 0)...)
	ps = append(ps, Required(at, key+".checksum", m.Checksum.File == "" && m.Checksum.Pin == "")...)
	if m.Checksum.Form != "" {
		ps = append(ps, OneOf(at+".checksum.form", key+".checksum.form", m.Checksum.Form, []string{"gnu", "bsd", "bare", "tab"})...)
	}
	if m.Signature != nil {
		ps = append(ps, OneOf(at+".signature.kind", key+".signature.kind", m.Signature.Kind, []string{"gpg", "signify"})...)
	}
	return ps
}

// SanitiseChoice returns what the recipe says about the rules of package sanitise.
func (r Recipe) SanitiseChoice() sanitise.Choice {
	if r.Sanitise == nil {
		return sanitise.Choice{}
	}
	return *r.Sanitise
}

// validateSanitise checks the ids of rules that the recipe names.
func (r Recipe) validateSanitise() (ps []Problem) {
	if r.Sanitise == nil {
		return nil
	}
	rules, err := sanitise.For("linux") // the systems of the strategy vm
	if err != nil {
		return []Problem{{"$.sanitise", "sanitise", err.Error()}}
	}
	for _, msg := range rules.Check(*r.Sanitise) {
		ps = append(ps, Problem{"$.sanitise", "sanitise", msg})
	}
	return ps
}
