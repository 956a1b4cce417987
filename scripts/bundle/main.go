// Command bundle lays finished programs out as people install them:
//
//	go run ./scripts/bundle -from bin -version 0.1.0 -to dist macos   → dist/Ingot.app
//	go run ./scripts/bundle -from bin -version 0.1.0 -to dist linux   → dist/ingot-0.1.0-linux-ARCH.tar.gz
//
// It compiles nothing. The programs are ingot, ingot-app and ingot-window; the
// licences beside them, LICENSE and THIRD_PARTY_NOTICES, come along. The
// window is a bundle of its own inside Ingot.app: two processes of one bundle
// would share Dock icon and clicks. Signing comes after (scripts/sign.sh).
//
// External facts: the keys of Apple's Information Property List (LSUIElement keeps an
// app out of the Dock; a *UsageDescription is what the system's question shows); the
// Desktop Entry Specification 1.5.
package main

import (
	_ "embed" // of the icon
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"ingot/app"
	"ingot/resources"
	"ingot/scripts/archive"
)

// parts is where things come from and go to.
type parts struct {
	from, to, version, arch string
	at                      time.Time // of all files, so that the same input makes the same bytes
}

func main() {
	p := parts{at: time.Unix(1e9, 0).UTC()}
	flag.StringVar(&p.from, "from", "bin", "folder of the programs")
	flag.StringVar(&p.to, "to", "dist", "folder for the result")
	flag.StringVar(&p.version, "version", "0.0.0", "three numbers")
	flag.StringVar(&p.arch, "arch", runtime.GOARCH, "of the programs, in the tarball's name")
	flag.Parse()
	made, err := p.make(flag.Arg(0))
	if err != nil {
		fmt.Fprintln(os.Stderr, "bundle:", err)
		os.Exit(1)
	}
	fmt.Println(made)
}

var (
	programs = []string{"ingot", "ingot-app", "ingot-window"}
	licences = []string{"LICENSE", "THIRD_PARTY_NOTICES"}
)

func (p parts) make(kind string) (string, error) {
	if !archive.Version.MatchString(p.version) {
		return "", fmt.Errorf("version %q: macOS takes three numbers, like 0.1.0", p.version)
	}
	for _, name := range append(slices.Clone(programs), licences...) {
		if _, err := os.Stat(filepath.Join(p.from, name)); err != nil {
			return "", fmt.Errorf("%w: `make package` makes it", err)
		}
	}
	switch kind {
	case "macos":
		return p.macos()
	case "linux":
		return p.linux()
	}
	return "", fmt.Errorf("%q is no kind of bundle; accepted: macos, linux", kind)
}

// macos lays out Ingot.app.
func (p parts) macos() (string, error) {
	bundle := filepath.Join(p.to, "Ingot.app")
	if err := os.RemoveAll(bundle); err != nil {
		return "", err
	}
	contents := filepath.Join(bundle, "Contents")
	window := filepath.Join(contents, "Helpers", "Ingot Window.app", "Contents")
	err := errors.Join(
		write(filepath.Join(contents, "Info.plist"), plist("org.ingot.app", "ingot-app", p.version, menuKeys), 0o644),
		write(filepath.Join(contents, "Resources", "ingot.icns"), icon, 0o644),
		p.copy("ingot", filepath.Join(contents, "MacOS"), 0o755), p.copy("ingot-app", filepath.Join(contents, "MacOS"), 0o755),
		p.copy("LICENSE", filepath.Join(contents, "Resources"), 0o644), p.copy("THIRD_PARTY_NOTICES", filepath.Join(contents, "Resources"), 0o644),
		write(filepath.Join(window, "Info.plist"), plist("org.ingot.app.window", "ingot-window", p.version, ""), 0o644),
		write(filepath.Join(window, "Resources", "ingot.icns"), icon, 0o644),
		p.copy("ingot-window", filepath.Join(window, "MacOS"), 0o755))
	return bundle, err
}

func (p parts) copy(name, dir string, mode fs.FileMode) error {
	data, err := os.ReadFile(filepath.Join(p.from, name))
	if err != nil {
		return err
	}
	return write(filepath.Join(dir, name), data, mode)
}

func write(path string, data []byte, mode fs.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, data, mode)
}

// icon is drawn by scripts/icons.
//
//go:embed ingot.icns
var icon []byte

// menuKeys are the keys of the menu's bundle alone: it stays out of the Dock, opens the
// links of Ingot's scheme, and offers to check disk images. qcow2 has no type identifier
// of its own, so one is declared (Apple's Uniform Type Identifiers: an imported type is one
// that others may define too).
var menuKeys = `	<key>LSUIElement</key><true/>
	<key>CFBundleURLTypes</key>
	<array><dict>
		<key>CFBundleURLName</key><string>org.ingot.link</string>
		<key>CFBundleTypeRole</key><string>Viewer</string>
		<key>CFBundleURLSchemes</key><array><string>` + app.Scheme + `</string></array>
	</dict></array>
	<key>CFBundleDocumentTypes</key>
	<array><dict>
		<key>CFBundleTypeName</key><string>Disk image of a virtual machine</string>
		<key>CFBundleTypeRole</key><string>Viewer</string>
		<key>LSHandlerRank</key><string>Alternate</string>
		<key>LSItemContentTypes</key><array><string>org.ingot.qcow2</string><string>org.ingot.raw</string></array>
	</dict></array>
	<key>UTImportedTypeDeclarations</key>
	<array>` + "\n" + imported("qcow2", "QEMU disk image") + imported("raw", "Raw disk image") + `	</array>
`

// imported declares the type of files with an extension.
func imported(extension, name string) string {
	return fmt.Sprintf(`		<dict>
			<key>UTTypeIdentifier</key><string>org.ingot.%[1]s</string>
			<key>UTTypeDescription</key><string>%[2]s</string>
			<key>UTTypeConformsTo</key><array><string>public.disk-image</string></array>
			<key>UTTypeTagSpecification</key><dict><key>public.filename-extension</key><array><string>%[1]s</string></array></dict>
		</dict>
`, extension, name)
}

// plist is an Info.plist; more are its further keys. Both bundles are called Ingot: the
// window's name is what the Dock shows.
func plist(id, program, version, more string) []byte {
	var b strings.Builder
	b.WriteString(`<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
<dict>
`)
	for _, kv := range [][2]string{
		{"CFBundleName", "Ingot"}, {"CFBundleDisplayName", "Ingot"}, {"CFBundleIdentifier", id}, {"CFBundleExecutable", program}, {"CFBundleIconFile", "ingot.icns"},
		{"CFBundlePackageType", "APPL"}, {"CFBundleInfoDictionaryVersion", "6.0"}, {"CFBundleShortVersionString", version}, {"CFBundleVersion", version},
		{"CFBundleDevelopmentRegion", "en"}, {"LSMinimumSystemVersion", "13.0"}, {"LSApplicationCategoryType", "public.app-category.developer-tools"},
		{"NSHumanReadableCopyright", "The Ingot authors. See LICENSE."},
		{"NSDownloadsFolderUsageDescription", "Exported disk images are written to your Downloads folder."},
		{"NSLocalNetworkUsageDescription", "Builds can run on other machines of your network, and images can be published there."},
	} {
		fmt.Fprintf(&b, "\t<key>%s</key><string>%s</string>\n", kv[0], kv[1])
	}
	b.WriteString(more + "\t<key>NSHighResolutionCapable</key><true/>\n</dict>\n</plist>\n")
	return []byte(b.String())
}

// linux packs the programs with an entry for the desktop's menu: unpacked in
// /usr/local or ~/.local it is installed.
func (p parts) linux() (string, error) {
	name := fmt.Sprintf("ingot-%s-linux-%s", p.version, p.arch)
	if err := os.MkdirAll(p.to, 0o755); err != nil {
		return "", err
	}
	path := filepath.Join(p.to, name+".tar.gz")
	f, err := os.Create(path)
	if err != nil {
		return "", err
	}
	err = p.pack(f)
	return path, errors.Join(err, f.Close())
}

const entry = "[Desktop Entry]\nType=Application\nName=Ingot\nComment=Forge VM images, boot them, publish them, and prove it\nExec=ingot-app\nIcon=ingot\nTerminal=false\nCategories=Development;\n"

// opener is the entry for links and disk images; it is in no menu.
const opener = "[Desktop Entry]\nType=Application\nName=Ingot\nExec=ingot-app open %U\nIcon=ingot\nTerminal=false\nNoDisplay=true\nMimeType=x-scheme-handler/" + app.Scheme + ";application/x-qemu-disk;application/x-raw-disk-image;\n"

func (p parts) pack(w io.Writer) error {
	var all []archive.File
	for _, part := range []struct {
		dir   string
		mode  int64
		names []string
	}{{"bin/", 0o755, programs}, {"share/doc/ingot/", 0o644, licences}} {
		for _, name := range part.names {
			data, err := os.ReadFile(filepath.Join(p.from, name))
			if err != nil {
				return err
			}
			all = append(all, archive.File{Name: part.dir + name, Mode: part.mode, Data: data})
		}
	}
	png, err := resources.FS.ReadFile("icons/ingot.png")
	if err != nil {
		return err
	}
	return archive.TarGz(w, p.at, append(all, archive.File{Name: "share/applications/ingot.desktop", Mode: 0o644, Data: []byte(entry)},
		archive.File{Name: "share/applications/ingot-open.desktop", Mode: 0o644, Data: []byte(opener)},
		archive.File{Name: "share/icons/hicolor/512x512/apps/ingot.png", Mode: 0o644, Data: png}))
}
