// Command release packs the command line program as people install it:
//
//	go run ./scripts/release -from dist -to dist/release -version 0.1.0 -base https://example.org/v0.1.0
//
// makes an archive for each system and architecture, and ingot.rb, a formula of Homebrew
// with the archives' digests; and ingot-app.rb, a cask with the digest of to/Ingot.dmg,
// where a Mac has made that. The same input gives the same bytes. from holds
// ingot-SYSTEM-ARCH, LICENSE, THIRD_PARTY_NOTICES, and below share/ the shells'
// completions and the manual's pages, man/*.1. Debian packages are made of the archives by scripts/release.sh.
package main

import (
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"ingot/scripts/archive"
)

// platforms are the systems with the architectures that there are programs for.
var platforms = []string{"darwin-amd64", "darwin-arm64", "linux-amd64", "linux-arm64"}

// files are what an archive holds beside the program.
var files = map[string]string{
	"share/doc/ingot/LICENSE":                    "LICENSE",
	"share/doc/ingot/THIRD_PARTY_NOTICES":        "THIRD_PARTY_NOTICES",
	"share/bash-completion/completions/ingot":    "share/ingot.bash",
	"share/zsh/site-functions/_ingot":            "share/_ingot",
	"share/fish/vendor_completions.d/ingot.fish": "share/ingot.fish",
}

type release struct {
	from, to, version, base string
	at                      time.Time // of all files
}

func main() {
	r := release{at: time.Unix(1e9, 0).UTC()}
	flag.StringVar(&r.from, "from", "dist", "folder of the programs")
	flag.StringVar(&r.to, "to", "dist/release", "folder for the result")
	flag.StringVar(&r.version, "version", "0.0.0", "three numbers")
	flag.StringVar(&r.base, "base", "", "address of the folder from which the archives will be fetched")
	flag.Parse()
	if err := r.make(); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

func (r release) make() error {
	u, err := url.Parse(r.base)
	switch {
	case !archive.Version.MatchString(r.version):
		return fmt.Errorf("version %q: give three numbers, like 0.1.0", r.version)
	case err != nil || u.Scheme != "https" || u.Host == "":
		return fmt.Errorf("base %q: give the https address of the folder from which the archives will be fetched", r.base)
	}
	if err := os.MkdirAll(r.to, 0o755); err != nil {
		return err
	}
	sums := map[string]string{}
	for _, p := range platforms {
		if sums[p], err = r.archive(p); err != nil {
			return fmt.Errorf("%s: %w", r.name(p), err)
		}
	}
	app, err := os.ReadFile(filepath.Join(r.to, image))
	if err == nil {
		err = os.WriteFile(filepath.Join(r.to, "ingot-app.rb"), r.cask(fmt.Sprintf("%x", sha256.Sum256(app))), 0o644)
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return os.WriteFile(filepath.Join(r.to, "ingot.rb"), r.formula(sums), 0o644)
}

// image is the app as people install it on a Mac.
const image = "Ingot.dmg"

func (r release) name(platform string) string {
	return fmt.Sprintf("ingot-%s-%s.tar.gz", r.version, platform)
}

// archive writes the archive of a platform and returns its SHA-256.
func (r release) archive(platform string) (sum string, err error) {
	f, err := os.Create(filepath.Join(r.to, r.name(platform)))
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	all := []archive.File{{Name: "bin/ingot", Mode: 0o755}}
	if all[0].Data, err = os.ReadFile(filepath.Join(r.from, "ingot-"+platform)); err != nil {
		return "", err
	}
	content := maps.Clone(files)
	pages, err := filepath.Glob(filepath.Join(r.from, "share", "man", "*.1"))
	if err == nil && len(pages) == 0 {
		err = fmt.Errorf("no manual in %s: `ingot man` writes it", filepath.Join(r.from, "share", "man"))
	}
	if err != nil {
		return "", err
	}
	for _, p := range pages {
		content["share/man/man1/"+filepath.Base(p)] = filepath.Join("share", "man", filepath.Base(p))
	}
	for _, name := range slices.Sorted(maps.Keys(content)) {
		data, err := os.ReadFile(filepath.Join(r.from, content[name]))
		if err != nil {
			return "", err
		}
		all = append(all, archive.File{Name: name, Mode: 0o644, Data: data})
	}
	hash := sha256.New()
	err = archive.TarGz(io.MultiWriter(f, hash), r.at, all)
	return fmt.Sprintf("%x", hash.Sum(nil)), err
}

// formula returns Homebrew's formula; docs.brew.sh/Formula-Cookbook.
func (r release) formula(sums map[string]string) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, `class Ingot < Formula
  desc "Forge VM images, boot them, publish them, and prove it"
  homepage %q
  version %q
  license "Apache-2.0"

`, r.base, r.version)
	for _, system := range []struct{ brew, name string }{{"macos", "darwin"}, {"linux", "linux"}} {
		fmt.Fprintf(&b, "  on_%s do\n", system.brew)
		for _, arch := range []struct{ brew, name string }{{"arm", "arm64"}, {"intel", "amd64"}} {
			p := system.name + "-" + arch.name
			fmt.Fprintf(&b, "    on_%s do\n      url %q\n      sha256 %q\n    end\n", arch.brew, strings.TrimSuffix(r.base, "/")+"/"+path.Base(r.name(p)), sums[p])
		}
		b.WriteString("  end\n")
	}
	b.WriteString(`
  depends_on "qemu"
  on_macos do
    depends_on "lima"
  end

  def install
    bin.install "bin/ingot"
    bash_completion.install "share/bash-completion/completions/ingot"
    zsh_completion.install "share/zsh/site-functions/_ingot"
    fish_completion.install "share/fish/vendor_completions.d/ingot.fish"
    man1.install Dir["share/man/man1/*"]
    doc.install Dir["share/doc/ingot/*"]
  end

  test do
    assert_match version.to_s, shell_output("#{bin}/ingot --version")
  end
end
`)
	return []byte(b.String())
}

// cask returns Homebrew's cask of the app, which brings its own command line program;
// docs.brew.sh/Cask-Cookbook.
func (r release) cask(sum string) []byte {
	return fmt.Appendf(nil, `cask "ingot-app" do
  version %q
  sha256 %q

  url %q
  name "Ingot"
  desc "Forge VM images, boot them, publish them, and prove it"
  homepage %q

  depends_on macos: ">= :ventura"
  depends_on formula: ["qemu", "lima"]

  app "Ingot.app"
  binary "#{appdir}/Ingot.app/Contents/MacOS/ingot"

  uninstall quit: ["org.ingot.app", "org.ingot.app.window"], login_item: "Ingot"

  zap trash: ["~/Library/Application Support/Ingot", "~/Library/Caches/Ingot", "~/Library/Logs/Ingot"]
end
`, r.version, sum, strings.TrimSuffix(r.base, "/")+"/"+image, r.base)
}
