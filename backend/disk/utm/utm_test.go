package utm

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"howett.net/plist"
)

func bundle(t *testing.T, name, arch string) []byte {
	t.Helper()
	disk := filepath.Join(t.TempDir(), "d.qcow2")
	if err := os.WriteFile(disk, []byte("QFI\xfb the disk"), 0o600); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := Write(t.Context(), &b, name, arch, disk); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func contents(t *testing.T, packed []byte) map[string][]byte {
	t.Helper()
	z, err := zip.NewReader(bytes.NewReader(packed), int64(len(packed)))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string][]byte{}
	for _, f := range z.File {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		if out[f.Name], err = io.ReadAll(r); err != nil {
			t.Fatal(err)
		}
		_ = r.Close()
		if f.Mode() != 0o644 {
			t.Errorf("%s has mode %v", f.Name, f.Mode())
		}
	}
	return out
}

// required are the keys that UTM does not read without, by the code that reads them, with
// values that it knows.
var required = map[string]map[string]any{
	"Information": {"Name": "debian", "IconCustom": false, "UUID": nil},
	"System":      {"Architecture": "aarch64", "Target": "virt", "CPU": "default", "CPUFlagsAdd": nil, "CPUFlagsRemove": nil, "CPUCount": uint64(2), "ForceMulticore": false, "MemorySize": uint64(2048), "JITCacheSize": uint64(0)},
	"QEMU":        {"DebugLog": false, "UEFIBoot": true, "RNGDevice": true, "BalloonDevice": false, "TPMDevice": false, "Hypervisor": true, "RTCLocalTime": false, "PS2Controller": false, "AdditionalArguments": nil},
	"Input":       {"UsbBusSupport": "3.0", "UsbSharing": false, "MaximumUsbShare": uint64(3)},
	"Sharing":     {"DirectoryShareMode": "None", "DirectoryShareReadOnly": false, "ClipboardSharing": false},
}

// A bundle has the disk as it is, and a configuration with every key that UTM requires.
func TestWrite(t *testing.T) {
	files := contents(t, bundle(t, "debian", "arm64"))
	if got := files["debian.utm/Data/disk.qcow2"]; string(got) != "QFI\xfb the disk" || len(files) != 2 {
		t.Errorf("%d files; the disk is %q", len(files), got)
	}
	var m map[string]any
	if _, err := plist.Unmarshal(files["debian.utm/config.plist"], &m); err != nil {
		t.Fatal(err)
	}
	for part, keys := range required {
		have, _ := m[part].(map[string]any)
		for key, want := range keys {
			got, ok := have[key]
			if !ok || want != nil && got != want {
				t.Errorf("%s.%s is %v (%T), want %v", part, key, got, got, want)
			}
		}
	}
	if m["Backend"] != "QEMU" || m["ConfigurationVersion"] != uint64(4) {
		t.Errorf("%v, version %v", m["Backend"], m["ConfigurationVersion"])
	}
	for _, list := range []string{"Display", "Sound", "Drive", "Network", "Serial"} {
		if _, ok := m[list].([]any); !ok {
			t.Errorf("%s is %T: UTM wants a list", list, m[list])
		}
	}
	drives := m["Drive"].([]any)
	disk, seed := drives[0].(map[string]any), drives[1].(map[string]any)
	if disk["ImageName"] != "disk.qcow2" || disk["ImageType"] != "Disk" || disk["Interface"] != "VirtIO" || disk["ReadOnly"] != false {
		t.Errorf("the disk: %v", disk)
	}
	if _, named := seed["ImageName"]; named || seed["ImageType"] != "CD" || seed["ReadOnly"] != true {
		t.Errorf("the removable drive: %v", seed)
	}
	uuid := regexp.MustCompile(`^[0-9A-F]{8}-[0-9A-F]{4}-8[0-9A-F]{3}-[89AB][0-9A-F]{3}-[0-9A-F]{12}$`)
	ids := []any{disk["Identifier"], seed["Identifier"], m["Information"].(map[string]any)["UUID"]}
	for i, id := range ids {
		if !uuid.MatchString(id.(string)) || id == ids[(i+1)%3] {
			t.Errorf("the identifiers are %v", ids)
		}
	}
	if mac := m["Network"].([]any)[0].(map[string]any)["MacAddress"].(string); !regexp.MustCompile(`^[0-9A-F][26AE](:[0-9A-F]{2}){5}$`).MatchString(mac) {
		t.Errorf("MAC %s: not a locally administered unicast address", mac)
	}
}

// The same disk and name give the same bytes; another name other identifiers; an Intel
// image another board.
func TestWriteAgain(t *testing.T) {
	one := bundle(t, "debian", "arm64")
	if !bytes.Equal(one, bundle(t, "debian", "arm64")) {
		t.Error("two bundles differ")
	}
	if idOf("debian", "disk") == idOf("other", "disk") || macOf("debian") == macOf("other") {
		t.Error("machines of two names have the same identifiers")
	}
	if m := machineOf("x", "amd64"); m.System.Architecture != "x86_64" || m.System.Target != "q35" {
		t.Errorf("%+v", m.System)
	}
}

// What cannot be read, or was cancelled, is an error.
func TestWriteFails(t *testing.T) {
	if err := Write(t.Context(), io.Discard, "x", "arm64", filepath.Join(t.TempDir(), "none")); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Write(ctx, io.Discard, "x", "arm64", "none"); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
