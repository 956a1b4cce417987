package evidence

// Predicates of the seven kinds. All times are UTC, sizes bytes, digests
// lower-case hex SHA-256 unless said otherwise. No field may hold a secret or
// the name of a private host.

// Config records that recipe and lock were read, fit each other, and which
// kernel configuration came out of them.
type Config struct {
	Head
	Recipe  string        `json:"recipe"` // digest
	Lock    string        `json:"lock"`   // digest
	Suites  []ConfigSuite `json:"suites"`
	Symbols int           `json:"kernelSymbols"` // checked configuration symbols
}

// ConfigSuite is one suite of the lock.
type ConfigSuite struct {
	Archive   string `json:"archive"`
	Suite     string `json:"suite"`
	InRelease string `json:"inRelease"`
}

// Guest records where the kernel and image steps run.
type Guest struct {
	Head
	Name   string `json:"name"`
	OS     string `json:"os"`
	Arch   string `json:"arch"`
	Kernel string `json:"kernel"`
	Distro string `json:"distro"`
	CPUs   int    `json:"cpus"`
	Memory int64  `json:"memory"`
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
	KernelRelease string   `json:"kernelRelease"`
	KernelBuildID string   `json:"kernelBuildId"`
	Packages      []string `json:"packages"` // name=version:arch
	Size          int64    `json:"size"`
	RootUUID      string   `json:"rootPartUuid"`
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
	VM            *Taken `json:"vm,omitempty"`    // where it came out of, unless a build made it
	Leaks         *Leaks `json:"leaks,omitempty"` // what the scan found; nil: it was not scanned
}

// Proof records the boots of one artifact; the subject is its digest.
type Proof struct {
	Head
	Artifact      string `json:"artifact"` // name
	Proven        string `json:"proven"`   // what the guest had to show: login, kernel identity
	KernelRelease string `json:"kernelRelease,omitempty"`
	KernelBuildID string `json:"kernelBuildId,omitempty"`
	WantRelease   string `json:"wantRelease,omitempty"` // empty: any kernel (a foreign image)
	WantBuildID   string `json:"wantBuildId,omitempty"`
	DigestAfter   string `json:"digestAfter"` // the artifact's digest after the boots
	Boots         []Boot `json:"boots"`
}

// Boot is one run of the artifact in a virtual machine.
type Boot struct {
	Name        string       `json:"name"` // "seeded" or "unseeded"
	Verdict     Verdict      `json:"verdict"`
	Cause       string       `json:"cause,omitempty"`
	Line        string       `json:"line,omitempty"` // the log line that told the cause
	Argv        []string     `json:"argv"`
	QEMU        string       `json:"qemu"`
	Firmware    string       `json:"firmware"` // digest of the code file
	Accelerator string       `json:"accelerator"`
	Tried       []string     `json:"acceleratorsTried,omitempty"` // those that did not work, and why
	Phases      []Phase      `json:"phases"`
	Checks      []CheckEnded `json:"checks,omitempty"`
	Serial      File         `json:"serial"`
	Screenshot  *File        `json:"screenshot,omitempty"`
}

// Phase is a point that the guest reached, in seconds after QEMU started.
type Phase struct {
	Name    string  `json:"name"`
	Seconds float64 `json:"seconds"`
	Line    string  `json:"line,omitempty"`
}

// CheckEnded is one smoke check's result.
type CheckEnded struct {
	Name    string  `json:"name"`
	Verdict Verdict `json:"verdict"`
	Detail  string  `json:"detail,omitempty"`
	Seconds float64 `json:"seconds"`
}

// File names a file kept beside the evidence. Name is relative to the build's
// folder in the ledger.
type File struct {
	Name   string `json:"name"`
	SHA256 string `json:"sha256"`
	Size   int64  `json:"size"`
}

// Receipt records what was read back from the public address of a publish;
// the subject is the digest of the disk as read back.
type Receipt struct {
	Head
	URL       string `json:"url"`  // of the release folder
	Disk      string `json:"disk"` // of the disk file
	Version   string `json:"version"`
	Size      int64  `json:"size"`
	Anonymous bool   `json:"anonymous"` // read back without credentials
	Local     bool   `json:"local"`     // served by the local store only
	Proven    bool   `json:"proven"`
	Proof     string `json:"proof,omitempty"` // evidence id of the proof
	Files     []File `json:"files"`
}

// Taken tells how a disk was taken out of a virtual machine.
type Taken struct {
	Name   string       `json:"name"`
	Driver string       `json:"driver"` // qemu, vz, …
	Method string       `json:"method"` // direct, drive-backup frozen, drive-backup crash-consistent, stop-export-start
	Why    string       `json:"why,omitempty"`
	Layers []TakenLayer `json:"layers"` // the files that the disk was made of, the newest first
}

// TakenLayer is one file of a virtual machine's disk.
type TakenLayer struct {
	File   string `json:"file"` // base name
	Format string `json:"format"`
	Bytes  int64  `json:"bytes"`
}
