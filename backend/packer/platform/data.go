package platform

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"github.com/goccy/go-yaml"

	"ingot/backend/cause"
	"ingot/resources"
)

// data is a file of resources/packer.
type data struct {
	OS             string              `yaml:"os"`
	Arch           string              `yaml:"arch"`
	Date           string              `yaml:"date"`
	Title          string              `yaml:"title"`
	QEMU           string              `yaml:"qemu"`
	Sources        map[string]string   `yaml:"sources"`
	Binaries       []fact              `yaml:"binaries"`
	AbsentBinaries []fact              `yaml:"absentBinaries"`
	Displays       []fact              `yaml:"displays"`
	AbsentDisplays []fact              `yaml:"absentDisplays"`
	Emulators      map[string]emulator `yaml:"emulators"`
	DataFolder     fact                `yaml:"dataFolder"`
	Files          []fact              `yaml:"files"`
	AbsentFiles    []fact              `yaml:"absentFiles"` // of the data folder
	AbsentFolders  []fact              `yaml:"absentFolders"`
	DevKVM         fact                `yaml:"devKVM"`
}

type emulator struct {
	Accelerators       []fact `yaml:"accelerators"`
	AbsentAccelerators []fact `yaml:"absentAccelerators"`
	Machines           []fact `yaml:"machines"`
	AbsentMachines     []fact `yaml:"absentMachines"`
	CPUs               []fact `yaml:"cpus"`
	AbsentCPUs         []fact `yaml:"absentCPUs"`
}

// fact is a name with the source that confirms it.
type fact struct {
	Name   string `yaml:"name"`
	Size   int64  `yaml:"size"`
	Source string `yaml:"source"`
}

func names(facts []fact) (out []string) {
	for _, f := range facts {
		out = append(out, f.Name)
	}
	return out
}

// all returns every fact of the data.
func (d *data) all() []fact {
	out := []fact{d.DataFolder}
	for _, facts := range [][]fact{d.Binaries, d.AbsentBinaries, d.Displays, d.AbsentDisplays, d.Files, d.AbsentFiles, d.AbsentFolders} {
		out = append(out, facts...)
	}
	if d.DevKVM.Name != "" {
		out = append(out, d.DevKVM)
	}
	for _, e := range d.Emulators {
		for _, facts := range [][]fact{e.Accelerators, e.AbsentAccelerators, e.Machines, e.AbsentMachines, e.CPUs, e.AbsentCPUs} {
			out = append(out, facts...)
		}
	}
	return out
}

// UnknownError reports that there is no data of a platform.
type UnknownError struct {
	Name  string
	Known []string
}

func (e *UnknownError) Error() string {
	return fmt.Sprintf("nothing is known of the platform %q; known: %s", e.Name, strings.Join(e.Known, ", "))
}

// ErrorClass sorts the error; see package cause.
func (*UnknownError) ErrorClass() cause.Class { return cause.Input }

// Known returns the platforms of which there is data, as OS/ARCH.
func Known() (out []string) {
	entries, err := fs.ReadDir(resources.FS, "packer")
	if err != nil {
		return nil
	}
	for _, e := range entries {
		out = append(out, strings.Replace(strings.TrimSuffix(e.Name(), ".yaml"), "-", "/", 1))
	}
	return out
}

// For describes the platform OS/ARCH by its data. Errors are *UnknownError, and those of
// data that is wrong.
func For(name string) (*Platform, error) {
	system, arch, _ := strings.Cut(name, "/")
	b, err := fs.ReadFile(resources.FS, path.Join("packer", system+"-"+arch+".yaml"))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrInvalid) {
		return nil, &UnknownError{Name: name, Known: Known()}
	}
	if err != nil {
		return nil, fmt.Errorf("platform %s: %w", name, err)
	}
	var d data
	if err := yaml.UnmarshalWithOptions(b, &d, yaml.DisallowUnknownField()); err != nil {
		return nil, fmt.Errorf("platform %s: %w", name, err)
	}
	for _, f := range d.all() {
		if d.Sources[f.Source] == "" {
			return nil, fmt.Errorf("platform %s: %q has no source", name, f.Name)
		}
	}
	return d.platform(), nil
}

func (d *data) platform() *Platform {
	p := &Platform{OS: d.OS, Arch: d.Arch, Title: d.Title, QEMU: d.QEMU, Date: d.Date, file: d.file}
	if d.DevKVM.Name == "absent" {
		p.DevKVM = No
	}
	p.emulator = func(_ context.Context, binary string) Emulator {
		binaries := Names{Accepted: names(d.Binaries), Refused: names(d.AbsentBinaries)}
		e := Emulator{
			Found: binaries.Has(binary), Version: d.QEMU,
			Displays: Names{Accepted: names(d.Displays), Refused: names(d.AbsentDisplays)},
		}
		of, known := d.Emulators[binary]
		if !known {
			return e
		}
		e.Machines = Names{Accepted: names(of.Machines), Refused: names(of.AbsentMachines)}
		e.CPUs = Names{Accepted: names(of.CPUs), Refused: names(of.AbsentCPUs)}
		accels := Names{Accepted: names(of.Accelerators), Refused: names(of.AbsentAccelerators)}
		e.accel = func(name string) (Answer, string) {
			a := accels.Has(name)
			if a == No {
				return a, d.Title + " has no " + name + " in " + binary
			}
			return a, ""
		}
		return e
	}
	return p
}

func (d *data) file(name string, rom bool) File {
	for _, f := range d.Files {
		switch full := f.Name; {
		case name == f.Name && (rom || path.IsAbs(f.Name)), path.Join(d.DataFolder.Name, full) == name:
			return File{Found: Yes, Size: f.Size}
		}
	}
	for _, f := range d.AbsentFiles {
		if rom && name == f.Name || path.Join(d.DataFolder.Name, f.Name) == name {
			return File{Found: No}
		}
	}
	for _, folder := range d.AbsentFolders {
		if strings.HasPrefix(name, folder.Name+"/") {
			return File{Found: No}
		}
	}
	return File{}
}
