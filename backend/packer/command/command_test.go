package command_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"ingot/backend/packer/command"
	"ingot/backend/packer/log"
	"ingot/backend/packer/platform"
	"ingot/backend/packer/template"
)

// sourceOf returns the first machine of a template's text.
func sourceOf(t *testing.T, text string) template.Source {
	t.Helper()
	file := filepath.Join(t.TempDir(), "t.pkr.hcl")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	tpl, err := template.Load(file, template.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if len(tpl.Sources) == 0 {
		t.Fatalf("no source: %v", tpl.Problems)
	}
	return tpl.Sources[0]
}

// source is a template with one machine.
func source(args string) string {
	return "source \"qemu\" \"vm\" {\n" + args + "\n}\nbuild { sources = [\"source.qemu.vm\"] }\n"
}

var (
	hostPorts = regexp.MustCompile(`hostfwd=tcp::\d+-`)
	vncNumber = regexp.MustCompile(`^([\d.]+):\d+`)
	folders   = regexp.MustCompile(`file=[^,]*/`)
)

// sortedArgs returns the arguments of a command line, sorted; ports that Packer chooses and
// the folder of the medium are made the same.
func sortedArgs(argv []string) (out []string) {
	for i := 1; i < len(argv); i++ {
		arg := argv[i]
		if i+1 < len(argv) && !command.IsOption(argv[i+1]) {
			i++
			value := hostPorts.ReplaceAllString(argv[i], "hostfwd=tcp::PORT-")
			if arg == "-vnc" {
				value = vncNumber.ReplaceAllString(value, "$1:N")
			}
			if strings.Contains(value, "media=cdrom") {
				value = folders.ReplaceAllString(value, "file=")
			}
			arg += " " + value
		}
		out = append(out, arg)
	}
	slices.Sort(out)
	return out
}

// The predicted command line of the builder within Packer 1.6.6 is that of its logs:
// each log of ../testdata/logs was written by Packer 1.6.6 for the template beside it.
func TestArgvOfLogs(t *testing.T) {
	logs, err := filepath.Glob("../testdata/logs/*.log")
	if err != nil {
		t.Fatal(err)
	}
	compared := 0
	for _, file := range logs {
		name := strings.TrimSuffix(file, ".log")
		text, err := os.ReadFile(name + ".pkr.hcl")
		if err != nil {
			continue // a log of another log's template
		}
		l, err := log.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		launches := l.Unmatched()
		if len(launches) != 1 || l.Version != "1.6.6" {
			t.Fatalf("%s: %d command lines of Packer %q", file, len(launches), l.Version)
		}
		got := sortedArgs(command.Predict(command.New(sourceOf(t, string(text)), command.InTree, platform.Yes)).Argv())
		want := sortedArgs(launches[0].Argv)
		if !slices.Equal(got, want) {
			t.Errorf("%s:\n got %q\nwant %q", name, got, want)
		}
		compared++
	}
	if compared < 12 {
		t.Errorf("only %d logs were compared", compared)
	}
}

// The plugin's own rules, as its source has them: EFI leaves -boot out, firmware goes to
// -bios or a flash chip, and -smp is always there.
func TestPluginArgv(t *testing.T) {
	for name, c := range map[string]struct {
		args string
		want []string // among the arguments
		none []string // beginnings that no argument may have
	}{
		"defaults":   {``, []string{"-boot once=d", "-machine type=pc,accel=tcg", "-m 512M", "-smp 1", "-display gtk", "-name packer-vm", "-device virtio-net,netdev=user.0", "-drive file=output-vm/packer-vm,if=virtio,cache=writeback,discard=ignore,format=qcow2"}, []string{"-bios", "-cpu"}},
		"efi":        {"efi_firmware_code = \"c.fd\"\nefi_firmware_vars = \"v.fd\"", []string{"-drive file=c.fd,if=pflash,unit=0,format=raw,readonly=on", "-drive file=output-vm/efivars.fd,if=pflash,unit=1,format=raw"}, []string{"-boot"}},
		"efi_boot":   {`efi_boot = true`, []string{"-drive file=/usr/share/OVMF/OVMF_CODE.fd,if=pflash,unit=0,format=raw,readonly=on"}, []string{"-boot"}},
		"bios":       {`firmware = "f.fd"`, []string{"-bios f.fd", "-boot once=d"}, nil},
		"pflash":     {"firmware = \"f.fd\"\nuse_pflash = true", []string{"-drive file=f.fd,if=pflash,format=raw,readonly=on"}, []string{"-bios"}},
		"cpu":        {"cpu_model = \"host\"\ncpus = 4\nsockets = 1\ncores = 2", []string{"-cpu host", "-smp 2,sockets=1,cores=2"}, nil},
		"image":      {`disk_image = true`, []string{"-boot c"}, []string{"-drive file=ISO"}},
		"none":       {"accelerator = \"none\"\nheadless = true", []string{"-machine type=pc"}, []string{"-display"}},
		"default":    {"use_default_display = true", nil, []string{"-display"}},
		"cocoa":      {`display = "cocoa"`, []string{"-display cocoa"}, nil},
		"scsi cd":    {"cdrom_interface = \"virtio-scsi\"\niso_url = \"x.iso\"", []string{"-device virtio-scsi-pci,id=scsi0", "-drive file=x.iso,if=none,index=0,id=cdrom0,media=cdrom", "-device scsi-cd,drive=cdrom0", "-device virtio-scsi-device"}, nil},
		"two cds":    {"iso_url = \"x.iso\"\ncd_files = [\"a\"]", []string{"-drive file=x.iso,media=cdrom", "-drive file=CD,media=cdrom"}, nil},
		"bridge":     {`net_bridge = "br0"`, []string{"-netdev bridge,id=user.0,br=br0", "-qmp unix:output-vm/packer-vm.monitor,server,nowait"}, nil},
		"no login":   {`communicator = "none"`, []string{"-netdev user,id=user.0"}, nil},
		"templates":  {"vm_name = \"{{ build_name }}.img\"\nqemuargs = [[\"-drive\", \"file={{ .OutputDir }}/{{ .Name | upper }}\"], [\"-fw_cfg\", \"name=opt/u,string=http://{{ .HTTPIP }}:{{ .HTTPPort }}/\"]]", []string{"-drive file=output-vm/VM.IMG", "-fw_cfg name=opt/u,string=http://10.0.2.2:8000/"}, []string{"-drive file=output-vm/vm"}},
		"joined":     {`qemuargs = [["-netdev", "user,id=user.0,", "hostfwd=tcp::1-:22", ""], ["-nodefaults", ""]]`, []string{"-netdev user,id=user.0,hostfwd=tcp::PORT-:22", "-nodefaults"}, nil},
		"nic again":  {`qemuargs = [["-device", "qemu-xhci"]]`, []string{"-device qemu-xhci", "-device virtio-net,netdev=user.0"}, nil},
		"nic theirs": {`qemuargs = [["-device", "virtio-net,netdev=n0"], ["-netdev", "user,id=n0"]]`, []string{"-device virtio-net,netdev=n0"}, []string{"-device virtio-net,netdev=user.0"}},
	} {
		t.Run(name, func(t *testing.T) {
			got := sortedArgs(command.Predict(command.New(sourceOf(t, source(c.args)), command.Plugin, platform.No)).Argv())
			for _, w := range c.want {
				if !slices.Contains(got, w) {
					t.Errorf("%q is missing in %q", w, got)
				}
			}
			for _, n := range c.none {
				if i := slices.IndexFunc(got, func(s string) bool { return strings.HasPrefix(s, n) }); i >= 0 {
					t.Errorf("%q must not be there", got[i])
				}
			}
		})
	}
}

// What is not known makes the argument unknown that rests on it, and no other.
func TestUnknownArguments(t *testing.T) {
	s := sourceOf(t, "variable \"fw\" {\n  type = string\n}\nvariable \"extra\" {}\n"+source("firmware = var.fw\nvm_name = \"a-{{ timestamp }}\"\nmemory = 1024"))
	c := command.Predict(command.New(s, command.Plugin, platform.No))
	argv := strings.Join(c.Argv(), " ")
	for _, w := range []string{"-bios ?", "-name ?", "-m 1024M"} {
		if !strings.Contains(argv, w) {
			t.Errorf("%q is missing in %s", w, argv)
		}
	}
	if got := c.All("-bios")[0].Depends; !slices.Equal(got, []string{"var.fw"}) {
		t.Errorf("-bios depends on %q", got)
	}
	s = sourceOf(t, "variable \"extra\" {}\n"+source("qemuargs = var.extra"))
	if c = command.Predict(command.New(s, command.Plugin, platform.No)); !slices.Equal(c.Open, []string{"var.extra"}) || c.Absent("-cpu") {
		t.Errorf("open %q, -cpu absent %v", c.Open, c.Absent("-cpu"))
	}
	s = sourceOf(t, source("")) // without knowing /dev/kvm, the accelerator is not known
	if c = command.Predict(command.New(s, command.Plugin, platform.NotKnown)); !strings.Contains(strings.Join(c.Argv(), " "), "-machine type=pc,accel=? ") {
		t.Errorf("%q", c.Argv())
	}
}
