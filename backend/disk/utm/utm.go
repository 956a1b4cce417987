// Package utm writes bundles of UTM, a virtual machine manager for macOS
// (https://mac.getutm.app), in a zip: unpacked by a double click, and opened by another.
//
// The keys and values are those of UTM's configuration version 4 (github.com/utmapp/UTM,
// Configuration/UTMQemuConfiguration*.swift and QEMUConstant.swift, read at 217826e,
// 203f526, 5427eee, 208bd09). The firmware's variables are not part of the bundle: UTM
// makes them at the first start (qemuEnsureEfiVarsAvailable).
package utm

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"howett.net/plist"
)

// notes is what UTM shows beside the machine.
const notes = "Made by Ingot. The image has no account of its own: to log in, put a CD with a NoCloud seed (volume name cidata) into the removable drive before the first start."

// Write writes the bundle of a machine with a disk, a qcow2 file. It has a serial
// terminal, a shared network, the disk, and an empty drive for a seed. arch is Go's name.
// The identifiers in it are derived from the name, so that the bytes depend on the disk,
// the name and the architecture only.
func Write(ctx context.Context, w io.Writer, name, arch, disk string) error {
	config, err := plist.MarshalIndent(machineOf(name, arch), plist.XMLFormat, "\t")
	if err != nil {
		return err
	}
	z := zip.NewWriter(w)
	z.RegisterCompressor(zip.Deflate, func(w io.Writer) (io.WriteCloser, error) { return flate.NewWriter(w, flate.DefaultCompression) })
	bundle := name + ".utm/"
	if err := add(ctx, z, bundle+"config.plist", zip.Deflate, bytes.NewReader(config)); err != nil {
		return err
	}
	f, err := os.Open(disk)
	if err != nil {
		return err
	}
	err = add(ctx, z, bundle+"Data/"+diskName, zip.Store, f) // it is compressed already
	return errors.Join(err, f.Close(), z.Close())
}

// diskName is the disk's file in the bundle.
const diskName = "disk.qcow2"

// zipTime is the time of all files: a zip knows none before 1980, and no zone.
var zipTime = time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)

func add(ctx context.Context, z *zip.Writer, name string, method uint16, r io.Reader) error {
	h := &zip.FileHeader{Name: name, Method: method, Modified: zipTime}
	h.SetMode(0o644)
	w, err := z.CreateHeader(h)
	if err != nil {
		return err
	}
	_, err = io.Copy(w, reader{ctx, r})
	return err
}

// reader ends with its context.
type reader struct {
	ctx context.Context
	r   io.Reader
}

func (c reader) Read(p []byte) (int, error) {
	if err := context.Cause(c.ctx); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}

// machine is the file config.plist.
type machine struct {
	Backend              string
	ConfigurationVersion int
	Information          struct {
		Name       string
		IconCustom bool
		Icon       string
		Notes      string
		UUID       string
	}
	System struct {
		Architecture, Target, CPU   string
		CPUFlagsAdd, CPUFlagsRemove []string
		CPUCount, MemorySize        int // MiB
		ForceMulticore              bool
		JITCacheSize                int
	}
	QEMU struct {
		DebugLog, UEFIBoot, RNGDevice, BalloonDevice, TPMDevice, Hypervisor, RTCLocalTime, PS2Controller bool
		AdditionalArguments                                                                              []string
	}
	Input struct {
		UsbBusSupport   string
		UsbSharing      bool
		MaximumUsbShare int
	}
	Sharing struct {
		DirectoryShareMode                       string
		DirectoryShareReadOnly, ClipboardSharing bool
	}
	Display, Sound []struct{}
	Drive          []drive
	Network        []network
	Serial         []serial
}

type drive struct {
	Identifier       string
	ImageName        string `plist:",omitempty"` // none: a removable drive
	ImageType        string
	Interface        string
	InterfaceVersion int
	ReadOnly         bool
}

type network struct {
	Mode, Hardware, MacAddress string
	IsolateFromHost            bool
	PortForward                []struct{}
}

type serial struct {
	Mode, Target string
	Terminal     struct {
		ForegroundColor, BackgroundColor, Font string
		FontSize                               int
	}
}

// machineOf is the configuration: QEMU's virt or q35 board with UEFI, and Apple's hypervisor
// where the architecture is that of the Mac.
func machineOf(name, arch string) machine {
	var m machine
	m.Backend, m.ConfigurationVersion = "QEMU", 4
	m.Information.Name, m.Information.Icon, m.Information.Notes, m.Information.UUID = name, "linux", notes, idOf(name, "machine")
	m.System.Architecture, m.System.Target, m.System.CPU = "aarch64", "virt", "default"
	if arch == "amd64" {
		m.System.Architecture, m.System.Target = "x86_64", "q35"
	}
	m.System.CPUFlagsAdd, m.System.CPUFlagsRemove = []string{}, []string{}
	m.System.CPUCount, m.System.MemorySize = 2, 2048
	m.QEMU.UEFIBoot, m.QEMU.RNGDevice, m.QEMU.Hypervisor, m.QEMU.AdditionalArguments = true, true, true, []string{}
	m.Input.UsbBusSupport, m.Input.MaximumUsbShare = "3.0", 3
	m.Sharing.DirectoryShareMode = "None"
	m.Display, m.Sound = []struct{}{}, []struct{}{}
	m.Drive = []drive{
		{Identifier: idOf(name, "disk"), ImageName: diskName, ImageType: "Disk", Interface: "VirtIO", InterfaceVersion: 1},
		{Identifier: idOf(name, "seed"), ImageType: "CD", Interface: "USB", InterfaceVersion: 1, ReadOnly: true},
	}
	m.Network = []network{{Mode: "Shared", Hardware: "virtio-net-pci", MacAddress: macOf(name), PortForward: []struct{}{}}}
	s := serial{Mode: "Terminal", Target: "Auto"}
	s.Terminal.ForegroundColor, s.Terminal.BackgroundColor, s.Terminal.Font, s.Terminal.FontSize = "#ffffff", "#000000", "Menlo", 12
	m.Serial = []serial{s}
	return m
}

// idOf is a UUID (version 8, RFC 9562) of a part of a machine with a name.
func idOf(name, part string) string {
	b := sha256.Sum256([]byte("utm " + part + " " + name))
	b[6], b[8] = b[6]&0x0f|0x80, b[8]&0x3f|0x80
	return strings.ToUpper(fmt.Sprintf("%x-%x-%x-%x-%x", b[0:4], b[4:6], b[6:8], b[8:10], b[10:16]))
}

// macOf is an address for the network device of a machine with a name: one of those that
// anybody may choose, for a single receiver.
func macOf(name string) string {
	b := sha256.Sum256([]byte("utm mac " + name))
	b[0] = b[0]&^0x01 | 0x02
	return strings.ToUpper(fmt.Sprintf("%x:%x:%x:%x:%x:%x", b[0:1], b[1:2], b[2:3], b[3:4], b[4:5], b[5:6]))
}
