package window

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/container"
	"fyne.io/fyne/v2/theme"

	"ingot/app/look"
	"ingot/backend"
	"ingot/backend/api"
	"ingot/backend/client"
	"ingot/backend/doctor"
	"ingot/backend/status"
	"ingot/backend/vm"
)

var update = flag.Bool("update", false, "write the pictures anew")

// recorded is a home with the ledger of a real build (testdata/README.md), and
// the rows that were derived from it then: its artifacts are too large to keep.
func recorded(t *testing.T) (*played, api.Snapshot) {
	t.Helper()
	root := t.TempDir()
	if err := os.CopyFS(root, os.DirFS("testdata/home")); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(root, "data/keys/retired-keys"), 0o600); err != nil { // git keeps no such modes
		t.Fatal(err)
	}
	logs, err := filepath.Glob(filepath.Join(root, "data/builds/*/*/logs/serial-unseeded-*.log"))
	if err != nil || len(logs) != 1 {
		t.Fatal(logs, err)
	}
	if err := os.Chtimes(logs[0], time.Time{}, time.Now().Add(time.Hour)); err != nil { // nor times: written last
		t.Fatal(err)
	}
	t.Setenv("INGOT_HOME", root)
	t.Setenv("INGOT_KEYCHAIN", "off")
	b, err := backend.Open(backend.Options{})
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile("testdata/rows.json")
	if err != nil {
		t.Fatal(err)
	}
	var rows []api.Row
	if err := json.Unmarshal(data, &rows); err != nil {
		t.Fatal(err)
	}
	p := &played{news: make(chan func(client.Watcher)), ledger: &ledger{rows: rows, real: b}}
	return p, api.Snapshot{Rows: rows}
}

// picture is a page of the window, with the home that prepare makes of the recorded one.
// It is drawn when it shows a text. PROOF in the route is the id of the proof.
type picture struct {
	route   string
	prepare func(*played, *api.Snapshot)
	shows   string
}

func (c picture) open(t *testing.T) *stage {
	t.Helper()
	p, news := recorded(t)
	if c.prepare != nil {
		c.prepare(p, &news)
	}
	route := c.route
	for _, r := range news.Rows {
		if r.Target == "debian-12-arm64-lean" {
			route = strings.ReplaceAll(route, "PROOF", r.Boots.Evidence)
		}
	}
	s := shown(t, p, route, news)
	s.until(c.shows)
	return s
}

// TestScreens compares every view with its picture: a real home, an empty one,
// one at work, long and hostile texts.
func TestScreens(t *testing.T) {
	for name, c := range map[string]picture{
		"home":      {"home", nil, "Boots under QEMU"},
		"reality":   {"reality/debian-12-arm64-lean", nil, "debian-12-arm64-lean · published: passed, local only"},
		"target":    {"target/debian-12-arm64-lean", nil, "Firmware"},
		"tried":     {"target/debian-12-arm64", busy, "30 %"},
		"why":       {"target/debian-12-amd64", failed, "kernel.hang"},
		"history":   {"target/debian-12-arm64-lean/history", nil, "History (1)"},
		"builds":    {"builds/debian-12-arm64-lean", nil, "Passed in"},
		"targets":   {"targets/debian-12-arm64", nil, "apiVersion: ingot/v1"},
		"editor":    {"target/debian-12-arm64-lean/recipe", nil, "No mistakes"},
		"artifacts": {"artifacts", asRecorded, "These very bytes booted"},
		"lost":      {"artifacts", nil, "the file is missing"},
		"notary":    {"notary", nil, "is opened read-only"},
		"settings":  {"settings", chosen, "qemu-system-aarch64"},
		"proof":     {"evidence/PROOF", nil, "signed by key"},
		"serial":    {"evidence/PROOF", nil, "signed by key"},
		"vms":       {"vms", vmsHere, "forge"},
		"image":     {"vms/old", vmsHere, "old"},
		"no-vms":    {"vms", empty, "No Lima instance yet"},
		"home-work": {"home", atWork, "about 5 min left"},
		"empty":     {"home", empty, "Welcome to Ingot"},
		"password":  {"settings", needsPassword, "Install what is missing"},
		"lacking":   {"settings", lacksMuch, "installs in the guest"},
		"no-build":  {"builds", empty, "No build is shown"},
		"busy":      {"builds", busy, "kernel 30 %, about 5 min left"},
		"failed":    {"reality/debian-12-amd64", failed, "kernel.hang"},
		"long":      {"reality/" + strings.Repeat("long-", 40), long, "long-"},
	} {
		t.Run(name, func(t *testing.T) {
			s := c.open(t)
			if name == "password" {
				s.tap("Install what is missing")
				s.until("Your password is needed")
				s.until("boots what was built")
			}
			if name == "image" {
				s.tap("Make image…")
				s.until("itself is only read")
			}
			if name == "serial" {
				s.on(func() {
					s.walk(func(o fyne.CanvasObject) {
						if tabs, ok := o.(*container.AppTabs); ok && tabs.Items[0].Text == "Content" {
							tabs.SelectIndex(1)
						}
					})
				})
				s.until("▶ loader")
			}
			same(t, name, s.settled())
		})
	}
}

// Each page fits into a small window: none has to be scrolled sideways.
func TestSmallWindow(t *testing.T) {
	for name, c := range map[string]picture{
		"home":      {"home", atWork, "about 5 min left"},
		"long":      {"target/" + strings.Repeat("long-", 40), long, "cannot be used"},
		"reality":   {"reality/debian-12-arm64-lean", nil, "debian-12-arm64-lean · published: passed, local only"},
		"target":    {"target/debian-12-arm64-lean", nil, "Firmware"},
		"builds":    {"builds/debian-12-arm64-lean", nil, "Passed in"},
		"targets":   {"targets/debian-12-arm64", nil, "apiVersion: ingot/v1"},
		"artifacts": {"artifacts", asRecorded, "These very bytes booted"},
		"notary":    {"notary", nil, "is opened read-only"},
		"settings":  {"settings", lacksMuch, "installs in the guest"},
		"proof":     {"evidence/PROOF", nil, "signed by key"},
		"vms":       {"vms", vmsHere, "forge"},
	} {
		t.Run(name, func(t *testing.T) {
			s := c.open(t)
			s.on(func() {
				if min := s.Content().MinSize(); min.Width > 900 || min.Height > 600 {
					t.Errorf("it needs %.0f by %.0f", min.Width, min.Height)
				}
			})
		})
	}
}

// docPages are the pictures of the documentation: a recorded home that has built an image,
// and three usual VMs.
var docPages = map[string]picture{
	"home":      {"home", nil, "Boots under QEMU"},
	"reality":   {"reality/debian-12-arm64-lean", nil, "debian-12-arm64-lean · published: passed, local only"},
	"target":    {"target/debian-12-arm64-lean", nil, "Firmware"},
	"builds":    {"builds/debian-12-arm64-lean", nil, "Passed in"},
	"targets":   {"targets/debian-12-arm64", nil, "apiVersion: ingot/v1"},
	"artifacts": {"artifacts", asRecorded, "These very bytes booted"},
	"check":     {"notary", nil, "is opened read-only"},
	"settings":  {"settings", chosen, "qemu-system-aarch64"},
	"evidence":  {"evidence/PROOF", nil, "signed by key"},
	"vms":       {"vms", usualVMs, "forge"},
}

var variants = map[string]fyne.ThemeVariant{"dark": theme.VariantDark, "light": theme.VariantLight}

// document opens a page of the documentation.
func document(t *testing.T, name string) *stage {
	t.Helper()
	s := docPages[name].open(t)
	if name == "check" {
		s.on(func() { s.Check("../../backend/cause/testdata/panic-no-root.serial.log") })
		s.until("Cause found")
	}
	return s
}

// TestPages compares the pictures of the documentation, light and dark, with what the
// window draws.
func TestPages(t *testing.T) {
	for name := range docPages {
		t.Run(name, func(t *testing.T) {
			s := document(t, name)
			for _, variant := range []string{"dark", "light", "dark"} { // each is the same after the other, too
				s.on(func() { fyne.CurrentApp().Settings().SetTheme(oneVariant{look.Theme{}, variants[variant]}) })
				sameAs(t, filepath.Join("..", "..", "docs", "screens", name+"-"+variant+".png"), s.settled())
			}
		})
	}
}

// TestSizes compares the pages in a small and in a large window.
func TestSizes(t *testing.T) {
	for name := range docPages {
		t.Run(name, func(t *testing.T) {
			s := document(t, name)
			for _, c := range []struct {
				variant, size string
				wide, high    float32
			}{{"light", "small", 900, 600}, {"dark", "large", 1920, 1200}} {
				s.on(func() {
					fyne.CurrentApp().Settings().SetTheme(oneVariant{look.Theme{}, variants[c.variant]})
					s.Resize(fyne.NewSize(c.wide, c.high))
				})
				sameAs(t, filepath.Join("testdata", "sizes", name+"-"+c.size+".png"), s.settled())
			}
		})
	}
}

// oneVariant is a theme that is light or dark whatever the settings are.
type oneVariant struct {
	fyne.Theme
	variant fyne.ThemeVariant
}

func (o oneVariant) Color(n fyne.ThemeColorName, _ fyne.ThemeVariant) color.Color {
	return o.Theme.Color(n, o.variant)
}

// asRecorded has the artifact of the recorded build as it was then: the file is too large
// to keep.
func asRecorded(p *played, s *api.Snapshot) {
	have, err := status.Artifacts(context.Background(), p.real)
	if err != nil || len(have) != 1 {
		panic(fmt.Sprint(have, err))
	}
	a := have[0]
	row := s.Rows[slices.IndexFunc(s.Rows, func(r api.Row) bool { return r.Target == a.Target })]
	a.Problem, a.Boots, a.Proof, a.Allocated = "", row.Boots.State, row.Boots.Evidence, a.Size
	p.arts = []status.ArtifactInfo{a}
}

func usualVMs(p *played, _ *api.Snapshot) {
	p.vms = []vm.Instance{
		{Name: "debian", Status: vm.Stopped, Arch: "arm64", VMType: "vz", CPUs: 4, MemBytes: 4 << 30, DiskBytes: 50 << 30, DiskAllocated: 3 << 30},
		{Name: "forge", Status: vm.Running, Phase: vm.Ready, Arch: "arm64", VMType: "vz", CPUs: 4, MemBytes: 4 << 30, DiskBytes: 100 << 30, DiskAllocated: 7 << 30},
		{Name: "x86", Status: vm.Stopped, Arch: "amd64", VMType: "qemu", CPUs: 2, MemBytes: 2 << 30, DiskBytes: 20 << 30, DiskAllocated: 2 << 30},
	}
}

// vmsHere are instances in all states, one of a hostile name.
func vmsHere(p *played, _ *api.Snapshot) {
	p.vms = []vm.Instance{
		{Name: "forge", Status: vm.Running, Phase: vm.Ready, Arch: "arm64", VMType: "vz", CPUs: 4, MemBytes: 4 << 30, DiskBytes: 100 << 30, DiskAllocated: 7 << 30},
		{Name: "slow", Status: vm.Running, Phase: vm.Degraded, Arch: "amd64", VMType: "qemu", CPUs: 2, MemBytes: 2 << 30, DiskBytes: 20 << 30, Problem: "the guest agent does not answer"},
		{Name: "old", Status: vm.Stopped, Arch: "arm64", VMType: "qemu", CPUs: 2, MemBytes: 1 << 30, DiskBytes: 10 << 30, DiskAllocated: 1 << 30},
		{Name: "b\u202eroken" + strings.Repeat("-x", 90), Status: vm.Broken, Problem: "the host agent is gone and its driver, process 4711, still runs"},
	}
}

func empty(p *played, s *api.Snapshot) {
	p.rows, p.real = []api.Row{{Target: "debian-12-arm64", Title: "Debian 12 (bookworm), arm64"}}, nil
	s.Rows = p.rows
}

// chosen is a computer where the forge VM is the default guest, and the app's program is
// linked.
func chosen(p *played, _ *api.Snapshot) {
	p.guests = vm.Guests{Set: "lima:ingot-forge", Choices: []vm.GuestChoice{{Name: "local", Title: "This computer"}, {Name: "lima:ingot-forge", Title: "The forge VM ingot-forge, made and started when a build needs it", Default: true}, {Name: "lima:debian", Title: "Lima VM debian, which is running"}}}
	p.link = doctor.Link{Program: "/Applications/Ingot.app/Contents/MacOS/ingot", File: "/usr/local/bin/ingot", Done: true, InPath: true}
}

// lacksMuch is a computer that lacks nearly everything, with the longest texts that the
// doctor has.
func lacksMuch(p *played, _ *api.Snapshot) {
	p.report = func() doctor.Report {
		return doctor.Report{Guest: "lima:ingot-forge", Install: []string{"brew install lima qemu"}, InGuest: []string{"apt-get update", "apt-get install -y --no-install-recommends debian-archive-keyring bc bison flex gcc gcc-aarch64-linux-gnu libc6-dev-arm64-cross libelf-dev libssl-dev make mmdebstrap"},
			Checks: []doctor.Check{{Name: "qemu-system-aarch64", Why: "boots what was built: the proof"}, {Name: "UEFI firmware for arm64", Why: "starts the boot loader in the proof"},
				{Name: "limactl", Why: "runs the forge VM, in which kernels and disks are made", Install: "limactl: it is not installed (searched: " + strings.Repeat("/opt/homebrew/bin:/usr/local/bin:", 5) + "/bin)"},
				{Name: "forge VM", Why: "kernels and disks are made in it", Install: "ingot vm create ingot-forge --forge (the first build does it too)"},
				{Name: "aarch64-linux-gnu-gcc", Why: "installs in the guest"},
				{Name: "disk space", OK: true, Why: "a build takes up to 12 GiB; 93.4 GiB are free in /Users/me/Library/Application Support/Ingot"}}}
	}
	p.link = doctor.Link{Program: "/Applications/Ingot.app/Contents/MacOS/ingot", File: "/Users/me/.local/bin/ingot"}
}

// needsPassword is a computer whose sudo asks for a password.
func needsPassword(p *played, s *api.Snapshot) {
	p.mend = func(context.Context, func(string)) error { return &doctor.PasswordError{Command: "apt-get update"} }
}

func busy(p *played, s *api.Snapshot) {
	empty(p, s)
	s.Owner.Builds = []api.ActiveBuild{{ID: buildID, Target: "debian-12-arm64", Lane: "interactive", Started: time.Unix(1.8e9, 0), Step: "kernel"}}
	p.journal = []api.Event{{Kind: api.EventBuildStarted}, {Kind: api.EventStepSkipped, Step: "rootfs", Msg: "unchanged since build 20260101-000000-aaaa"},
		{Kind: api.EventStepStarted, Step: "kernel", Msg: "the configuration has changed"}}
	p.progress = &api.Event{Kind: api.EventProgress, Build: buildID, Target: "debian-12-arm64", Step: "kernel", Done: 30, Total: 100, ETA: 300}
}

// atWork is a home with a target in each group, of which one is built now.
func atWork(p *played, s *api.Snapshot) {
	busy(p, s)
	at := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	done := api.Cell{State: api.Passed, At: at}
	bad, old := cell(api.Failed, "boot.no-root"), cell(api.Stale, "config.changed")
	bad.Message, old.Message = "the root file system was not found", "recipe, lock or kernel have changed since"
	p.rows = append(p.rows,
		api.Row{Target: "alpine-3.23-arm64", Title: "Alpine 3.23, arm64", Configured: done, Guest: done, Kernel: done, Exported: done, Boots: bad},
		api.Row{Target: "debian-13-arm64", Title: "Debian 13 (trixie), arm64", Configured: done, Guest: done, Kernel: done, Exported: done, Boots: done, Published: api.Cell{State: api.Passed, At: at, Note: "local only"}},
		api.Row{Target: "freebsd-15-arm64", Title: "FreeBSD 15, arm64", Configured: done, Guest: done, Kernel: done, Exported: old, Boots: old, Published: old},
		api.Row{Target: "ubuntu-24.04-arm64", Title: "Ubuntu 24.04, arm64", Configured: done})
	s.Rows = p.rows
}

func failed(p *played, s *api.Snapshot) {
	c := cell(api.Failed, "kernel.hang")
	c.Message = "the kernel wrote nothing for 120 s after the loader started it"
	p.rows = []api.Row{{Target: "debian-12-amd64", Title: "Debian 12", Configured: cell(api.Passed, ""), Guest: cell(api.Passed, ""), Kernel: cell(api.Passed, ""), Exported: cell(api.Stale, "config.changed"), Boots: c, Published: cell(api.Cancelled, "")}}
	s.Rows = p.rows
	p.real = nil
}

func long(p *played, s *api.Snapshot) {
	name := strings.Repeat("long-", 40)
	c := cell(api.Failed, "config.invalid")
	c.Message = "/home/me/.config/ingot/targets/" + name + ".yaml:3: key os: \u202e\"" + strings.Repeat("debian", 60) + "\" is not known"
	p.rows = []api.Row{{Target: name, Title: strings.Repeat("A long title ", 30), Configured: c}}
	s.Rows = p.rows
	p.real = nil
}

// same compares a picture with the one kept, and keeps what differs.
func same(t *testing.T, name string, got *image.NRGBA) {
	t.Helper()
	sameAs(t, filepath.Join("testdata", "screens", name+".png"), got)
}

func sameAs(t *testing.T, file string, got *image.NRGBA) {
	t.Helper()
	name := strings.TrimSuffix(filepath.Base(file), ".png")
	if *update {
		save(t, file, got)
		return
	}
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	want, err := png.Decode(f)
	if err != nil {
		t.Fatal(err)
	}
	if n := differing(got, want); n > got.Rect.Dx()*got.Rect.Dy()/500 {
		bad := filepath.Join(os.TempDir(), "ingot-screen-"+name+".png")
		save(t, bad, got)
		t.Errorf("%s: %d pixels differ; the picture is %s (go test ./app/window -run 'Screens|Pages' -update keeps it)", name, n, bad)
	}
}

// differing counts the pixels that differ by more than rounding does.
func differing(a *image.NRGBA, b image.Image) int {
	if a.Rect != b.Bounds() {
		return a.Rect.Dx() * a.Rect.Dy()
	}
	n := 0
	for y := a.Rect.Min.Y; y < a.Rect.Max.Y; y++ {
		for x := a.Rect.Min.X; x < a.Rect.Max.X; x++ {
			r, g, bl, _ := a.At(x, y).RGBA()
			r2, g2, b2, _ := b.At(x, y).RGBA()
			if far(r, r2) || far(g, g2) || far(bl, b2) {
				n++
			}
		}
	}
	return n
}

func far(a, b uint32) bool { return max(a, b)-min(a, b) > 24<<8 }

func save(t *testing.T, file string, img image.Image) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := png.Encode(f, img); err != nil {
		t.Fatal(err)
	}
}

// The comparison must be able to fail.
func TestDiffering(t *testing.T) {
	a, b := image.NewNRGBA(image.Rect(0, 0, 10, 10)), image.NewNRGBA(image.Rect(0, 0, 10, 10))
	if n := differing(a, b); n != 0 {
		t.Error(n)
	}
	b.Pix[0], b.Pix[3], a.Pix[3] = 200, 255, 255
	if n := differing(a, b); n != 1 {
		t.Error(n)
	}
	if n := differing(a, image.NewNRGBA(image.Rect(0, 0, 9, 10))); n != 100 {
		t.Error(n)
	}
}
