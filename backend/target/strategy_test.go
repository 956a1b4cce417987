package target

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ingot/backend/cause"
	"ingot/resources"
)

// user loads the shipped recipes and one recipe of the user.
func user(t *testing.T, name, text string) *Set {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, name+".yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := Load(resources.FS, dir, onlyDebian)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

const head = "apiVersion: ingot/v1\nkind: Target\nname: mine\n"

// A recipe can change a list that it extends; other items stay.
func TestChangedLists(t *testing.T) {
	s := user(t, "mine", head+`extends: debian-12-arm64
packages: {add: [htop, nano], remove: [rsync]}
files:
  add: [{path: /etc/hostname, content: "mine\n"}, {path: /etc/motd, content: "hello\n"}]
  remove: [/etc/fstab]
links:
  add: [{path: /etc/localtime, to: /usr/share/zoneinfo/UTC}]
`)
	r, err := s.Get("mine")
	if err != nil {
		t.Fatal(err)
	}
	base, err := s.Get("debian-12-arm64")
	if err != nil {
		t.Fatal(err)
	}
	if n := len(base.Rootfs.Packages); len(r.Rootfs.Packages) != n || !slices.Contains(r.Rootfs.Packages, "htop") || slices.Contains(r.Rootfs.Packages, "rsync") || !slices.Contains(r.Rootfs.Packages, "systemd-sysv") {
		t.Errorf("packages: %v", r.Rootfs.Packages)
	}
	content := map[string]string{}
	for _, f := range r.Rootfs.Files {
		content[f.Path] = f.Content
	}
	if _, there := content["/etc/fstab"]; there || content["/etc/hostname"] != "mine\n" || content["/etc/motd"] == "" || len(r.Rootfs.Files) != len(base.Rootfs.Files) {
		t.Errorf("files: %v", content)
	}
	if len(r.Rootfs.Links) != len(base.Rootfs.Links)+1 || r.Packages != nil || r.Files != nil || r.Links != nil {
		t.Errorf("%+v", r.Rootfs.Links)
	}
	if !slices.Contains(base.Rootfs.Packages, "rsync") {
		t.Error("the recipe that is extended was changed too")
	}
	if _, err := user(t, "mine", head+"extends: debian-12-arm64\npackages: {remove: [nosuch]}\n").Get("mine"); err == nil || !strings.Contains(err.Error(), `mine.yaml:5: key "packages.remove": "nosuch" is not in the extended list`) {
		t.Errorf("%v", err)
	}
}

// All mistakes of a recipe are reported at once, in line order.
func TestAllMistakes(t *testing.T) {
	s := user(t, "mine", head+`extends: debian-12-arm64
arch: aarch64
colour: red
kernel: {flavour: x}
os: plan9
export: {formats: [vmdk, vdi]}
`)
	_, err := s.Get("mine")
	var all Errors
	if !errors.As(err, &all) || cause.ClassOf(err) != cause.Input || cause.IDOf(err) != "config.invalid" {
		t.Fatalf("%T: %v", err, err)
	}
	var got []string
	line := 0
	for _, e := range all {
		got = append(got, e.Key)
		if e.Line < line {
			t.Errorf("line %d after line %d", e.Line, line)
		}
		line = e.Line
	}
	if want := "arch colour flavour os export.formats export.formats"; strings.Join(got, " ") != want {
		t.Errorf("keys %v, want %s\n%v", got, want, err)
	}
	if !strings.Contains(err.Error(), "accepted: configs, crossCompile, image") {
		t.Errorf("the accepted keys are not told: %v", err)
	}
}

// Recipes of strategies that cannot be built yet are validated and not built.
func TestStrategies(t *testing.T) {
	const rest = "os: freebsd\nrelease: \"15.1\"\narch: arm64\nvariant: server\nexport: {formats: [qcow2]}\n"
	media := "media: [{name: base, url: [\"https://example.org/x.raw.xz\"], checksum: {file: CHECKSUM.SHA256, form: bsd}, format: raw}]\n"
	for name, c := range map[string]struct{ text, want string }{
		"vm":                {rest + "strategy: vm\nvm: {lima: freebsd}\nconsole: {panic: [\"^panic:\"], login: {user: root}}\nidentity: {run: uname -v, want: token}\n", ""},
		"image":             {rest + "strategy: image\n" + media + "machine: {qemu: {type: virt, cpu: {hvf: host, tcg: max}}, minMemory: 1GiB, vz: \"no\"}\naccess: {seed: nocloud, user: freebsd}\n", ""},
		"install":           {rest + "strategy: install\n" + media + "dialogue: [{expect: \"login:\", send: root, within: 30s}]\nanswers: |\n  yes\n", ""},
		"unknown strategy":  {rest + "strategy: magic\n", `key "strategy": "magic" is not known; accepted: compose, image, install, vm`},
		"vm without a name": {rest + "strategy: vm\n", `key "vm.lima": is required`},
		"image, no media":   {rest + "strategy: image\n", `key "media": is required`},
		"media, no digest":  {rest + "strategy: image\nmedia: [{name: base, url: [x]}]\n", `key "media[0].checksum": is required`},
		"checksum form":     {rest + "strategy: image\nmedia: [{name: base, url: [x], checksum: {file: y, form: crc}}]\n", "accepted: gnu, bsd, bare, tab"},
		"dialogue in vm":    {rest + "strategy: vm\nvm: {lima: x}\ndialogue: [{expect: a, send: b}]\n", `key "dialogue": is for the strategy image or install; this recipe's is vm`},
		"compose a BSD":     {rest, `key "os": "freebsd" is not known; accepted: debian`},
		"unknown family":    {strings.Replace(rest, "freebsd", "plan9", 1) + "strategy: vm\nvm: {lima: x}\n", `key "os": "plan9" is not known; accepted: debian, ubuntu`},
		"unknown in media":  {rest + "strategy: image\nmedia: [{name: base, urls: [x], checksum: {pin: y}}]\n", `mine.yaml:10: key "urls": no such key here; accepted: checksum`},
	} {
		r, err := user(t, "mine", head+c.text).Get("mine")
		if c.want != "" {
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: %v, want %q", name, err, c.want)
			}
			continue
		}
		var not *NotYetError
		if err != nil || !errors.As(r.Buildable(), &not) || cause.IDOf(not) != "strategy.not-yet" || !strings.Contains(not.Error(), "compose") {
			t.Errorf("%s: %v, %v", name, err, r.Buildable())
		}
	}
	r, err := user(t, "mine", head+"extends: debian-12-arm64\nstrategy: compose\n").Get("mine")
	if err != nil || r.Buildable() != nil {
		t.Errorf("compose: %v, %v", err, r.Buildable())
	}
	// a key that would be ignored
	for text, key := range map[string]string{"console: {shell: csh}": `"console.shell: csh"`, "console: {port: com1}": `"console.port: com1"`, "access: {seed: nocloud}": `"access"`, "proofs: fallback": `"proofs: fallback"`, "console: {shell: sh}": ""} {
		r, err := user(t, "mine", head+"extends: debian-12-arm64\n"+text+"\n").Get("mine")
		if err != nil || key == "" && r.Buildable() != nil || key != "" && (cause.IDOf(r.Buildable()) != "strategy.not-yet" || !strings.Contains(r.Buildable().Error(), key)) {
			t.Errorf("%s: %v, %v", text, err, r.Buildable())
		}
	}
}

// The recipe that is written for a VM can be built, without a lock, and says what cannot
// be used yet.
func TestFromVM(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "targets")
	s, err := Load(resources.FS, dir, onlyDebian)
	if err != nil {
		t.Fatal(err)
	}
	d := FromVM{Name: "web", Instance: "web", Title: "Debian 12 of the VM web", OS: "debian", Release: "12", Arch: "amd64", Firmware: "bios", CPUs: 2}
	file, err := s.WriteFromVM(d)
	if err != nil || file != filepath.Join(dir, "web.yaml") {
		t.Fatalf("%s, %v", file, err)
	}
	if s, err = Load(resources.FS, dir, onlyDebian); err != nil {
		t.Fatal(err)
	}
	r, err := s.Get("web")
	if err != nil || r.Buildable() != nil || r.SourceInstance() != "web" || r.Board().Firmware != "bios" {
		t.Fatalf("%+v, %v, %v", r, err, r.Buildable())
	}
	lock, digest, err := s.LockOf(r)
	if err != nil || lock.Check(r) != nil || digest != "" {
		t.Errorf("its lock: %q, %v, %v", digest, err, lock.Check(r))
	}
	if _, err := s.WriteFromVM(d); err == nil || !strings.Contains(err.Error(), `there is a target "web" already`) {
		t.Errorf("written twice: %v", err)
	}
	plan9 := d
	plan9.Name, plan9.OS = "other", "plan9"
	if _, err := s.WriteFromVM(plan9); err == nil || !strings.Contains(err.Error(), "accepted: debian, ubuntu") {
		t.Errorf("an unknown system: %v", err)
	}
	const rest = "os: debian\nrelease: \"12\"\narch: amd64\nvariant: x\nstrategy: vm\nvm: {lima: web}\nexport: {formats: [qcow2]}\n"
	for text, want := range map[string]string{
		"changes: {packages: [htop, \"nginx=1.2-3\", x/bookworm-backports], commands: [\"true\"], files: [{path: /etc/motd, content: hi, mode: \"0600\"}]}": "",
		"changes: {packages: [\"a; reboot\"]}":                  `key "changes.packages": "a; reboot" is not the name of a package`,
		"changes: {packages: [\"-o=x\"]}":                       `key "changes.packages": "-o=x" is not the name of a package`,
		"changes: {files: [{path: ../x, content: y}]}":          `key "changes.files[0].path"`,
		"changes: {files: [{path: /x, content: y, mode: rwx}]}": `key "changes.files[0].mode"`,
		"changes: {commands: [\" \"]}":                          `key "changes.commands": is empty`,
		"kernel: {configs: [base.config]}":                      `key "kernel": is for the strategy compose; this recipe's is vm`,
		"rootfs: {packages: [htop]}":                            `key "rootfs": is for the strategy compose`,
		"disk: {size: 8GiB}":                                    `key "disk": is for the strategy compose`,
		"lock: debian-12-amd64":                                 `key "lock": is for the strategy compose`,
		"proof: {smoke: {checks: [{name: x, run: \"true\"}]}}":  `the key "proof.smoke"`,
		"install: {script: x}":                                  `the key "install"`,
		"sanitise: {keep: [logs], also: [package-cache]}":       "",
		"sanitise: {keep: [host-keys]}":                         `key "sanitise": "host-keys" cannot be kept; accepted: keys, histories, networks, logs, temporary`,
		"sanitise: {also: [logs]}":                              `"logs" is not a rule that is only applied on request; accepted: package-cache, containers`,
	} {
		r, err := user(t, "mine", head+rest+text+"\n").Get("mine")
		if err == nil {
			err = r.Buildable()
		}
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
	if tree, err := user(t, "mine", head+strings.Replace(rest, "qcow2", "qcow2, tar.zst", 1)).Get("mine"); err != nil {
		t.Errorf("%v, %v", tree.Export, err)
	}
}
