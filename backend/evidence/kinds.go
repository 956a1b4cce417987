package evidence

// Predicates of the seven kinds. All times are UTC, sizes bytes, digests
// lower-case hex SHA-256 unless noted otherwise. No field may hold a secret or
// the name of a private host.

// Config records that recipe and lock were read and match each other, and the
// kernel configuration that results from them.
type Config struct {
	Head
	Recipe  string        `json:"recipe"` // digest
	Lock    string        `json:"lock"`   // digest
	Suites  []ConfigSuite `json:"suites"`
	Symbols int           `json:"kernelSymbols"` // number of kernel configuration symbols that were checked
}

// ConfigSuite is one suite of the lock.
type ConfigSuite struct {
	Archive   string `json:"archive"`
	Suite     string `json:"suite"`
	InRelease string `json:"inRelease"`
}

// Guest records the place where the kernel and image steps ran.
type Guest struct {
	Head
	Name   string `json:"name"`
	OS     string `json:"os"`
	Arch   string `json:"arch"`
	Kernel string `json:"kernel"`
	Distro string `json:"distro"`
	CPUs   int    `json:"cpus"`
	Memory int64  `json:"memory"`
	VM     *Taken `json:"vm,omitempty"` // set if the steps ran in a machine of Ingot's own, started from a copy of this VM's disk
}

// Kernel records a built kernel; the subject is the boot image's digest.
type Kernel struct {
	Head
	Release  string `json:"release"` // uname -r
	BuildID  string `json:"buildId"` // GNU build-id, hex
	Config   string `json:"config"`  // digest of the final .config
	Modules  string `json:"modules"` // digest of the modules archive
	Source   string `json:"source"`  // package=version
	Compiler string `json:"compiler"`
	Size     int64  `json:"size"`
}

// Image records a disk before export; the subject is the raw disk's digest.
type Image struct {
	Head
	KernelRelease string     `json:"kernelRelease"`
	KernelBuildID string     `json:"kernelBuildId"`
	Packages      []string   `json:"packages"` // name=version:arch
	Size          int64      `json:"size"`
	RootUUID      string     `json:"rootPartUuid"`        // "" for the disk of a VM
	VM            *Taken     `json:"vm,omitempty"`        // the VM whose disk was copied and changed; nil for a disk made of packages
	Sanitised     *Sanitised `json:"sanitised,omitempty"` // what was taken out of the copy; nil for a disk made of packages
}

// Sanitised reports what was taken out of a running system before its disk was taken.
type Sanitised struct {
	Rules   string          `json:"rules"` // SHA-256 of the rules
	Removed []SanitisedItem `json:"removed"`
	Stays   []SanitisedItem `json:"stays"`
}

// SanitisedItem is what one rule found.
type SanitisedItem struct {
	Rule  string `json:"rule"`
	What  string `json:"what"`
	Why   string `json:"why,omitempty"` // why it stays
	Files int64  `json:"files"`
	Size  int64  `json:"size"` // on the disk, in bytes
}

// Artifact records an exported file; the subject is its digest.
type Artifact struct {
	Head
	Name          string `json:"name"`
	Format        string `json:"format"`
	File          string `json:"file"` // relative to the data folder
	Size          int64  `json:"size"`
	VirtualSize   int64  `json:"virtualSize"`
	SHA512        string `json:"sha512"`
	ImageDigest   string `json:"imageDigest"`
	KernelRelease string `json:"kernelRelease"`
	KernelBuildID string `json:"kernelBuildId"`
	VM            *Taken `json:"vm,omitempty"`    // the VM that the disk was copied from; nil for a build's disk
	Leaks         *Leaks `json:"leaks,omitempty"` // result of the leak scan; nil if the file was not scanned
}

// Proof records the boots of one artifact; the subject is its digest.
type Proof struct {
	Head
	Artifact      string `json:"artifact"` // name
	Proven        string `json:"proven"`   // what the guest had to show: login, kernel identity
	KernelRelease string `json:"kernelRelease,omitempty"`
	KernelBuildID string `json:"kernelBuildId,omitempty"`
	WantRelease   string `json:"wantRelease,omitempty"` // "" accepts any kernel (an image that Ingot did not build)
	WantBuildID   string `json:"wantBuildId,omitempty"`
	DigestAfter   string `json:"digestAfter"` // the artifact's digest after the boots
	Boots         []Boot `json:"boots"`
}

// Boot is one start of the artifact in a virtual machine.
type Boot struct {
	Name        string       `json:"name"` // "seeded" or "unseeded"
	Verdict     Verdict      `json:"verdict"`
	Cause       string       `json:"cause,omitempty"`
	Line        string       `json:"line,omitempty"`   // the log line that matched the cause's rule
	VMType      string       `json:"vmType,omitempty"` // of a boot by Lima: qemu, vz
	Argv        []string     `json:"argv"`
	QEMU        string       `json:"qemu"`
	Firmware    string       `json:"firmware"` // digest of the code file
	Accelerator string       `json:"accelerator"`
	Tried       []string     `json:"acceleratorsTried,omitempty"` // accelerators that did not work, and why
	Phases      []Phase      `json:"phases"`
	Checks      []CheckEnded `json:"checks,omitempty"`
	Challenge   *Challenge   `json:"challenge,omitempty"` // of a boot in which a command answered
	Serial      File         `json:"serial"`
	Screenshot  *File        `json:"screenshot,omitempty"`
}

// Challenge is what a running guest answered to a nonce that was made after the disk's
// digest was taken: Answer is the SHA-256, in hexadecimal, of nonce, space, boot id,
// space, and what the kernel said of itself, which the serial log has between I< and
// >I with its line ends as single newlines.
type Challenge struct {
	Nonce  string `json:"nonce"`
	BootID string `json:"bootId"`
	Answer string `json:"answer"`
}

// Phase is a point of the boot that the guest reached, in seconds after QEMU
// started.
type Phase struct {
	Name    string  `json:"name"`
	Seconds float64 `json:"seconds"`
	Line    string  `json:"line,omitempty"`
}

// CheckEnded is the result of one smoke check.
type CheckEnded struct {
	Name    string  `json:"name"`
	Verdict Verdict `json:"verdict"`
	Detail  string  `json:"detail,omitempty"`
	Seconds float64 `json:"seconds"`
}

// File names a file stored beside the evidence. Name is relative to the build's
// folder in the ledger.
type File struct {
	Name   string `json:"name"`
	SHA256 string `json:"sha256"`
	Size   int64  `json:"size"`
}

// Receipt records what was downloaded again from the public address of a
// publish. The subject is the digest of the downloaded disk.
type Receipt struct {
	Head
	URL       string `json:"url"`  // of the release folder
	Disk      string `json:"disk"` // of the disk file
	Version   string `json:"version"`
	Size      int64  `json:"size"`
	Anonymous bool   `json:"anonymous"` // downloaded without credentials
	Local     bool   `json:"local"`     // served only by the local store
	Proven    bool   `json:"proven"`
	Unscanned bool   `json:"unscanned,omitempty"` // published with a file system that the leak scan could not read
	Proof     string `json:"proof,omitempty"`     // evidence id of the proof
	Files     []File `json:"files"`
}

// Taken records how a disk was copied from a virtual machine.
type Taken struct {
	Name   string       `json:"name"`
	Driver string       `json:"driver"` // qemu, vz, …
	Method string       `json:"method"` // direct, drive-backup frozen, drive-backup crash-consistent, stop-export-start
	Why    string       `json:"why,omitempty"`
	Layers []TakenLayer `json:"layers"` // the files that the disk consisted of, the newest first
}

// TakenLayer is one file of a virtual machine's disk.
type TakenLayer struct {
	File   string `json:"file"` // base name
	Format string `json:"format"`
	Bytes  int64  `json:"bytes"`
}
