package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	plists "howett.net/plist"
)

func built(t *testing.T) parts {
	t.Helper()
	p := parts{from: t.TempDir(), to: t.TempDir(), version: "1.2.3", arch: "arm64", at: time.Unix(1e9, 0)}
	for _, name := range append(slices.Clone(programs), licences...) {
		if err := os.WriteFile(filepath.Join(p.from, name), []byte("program "+name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

func TestMacOS(t *testing.T) {
	p := built(t)
	app, err := p.make("macos")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"Contents/MacOS/ingot", "Contents/MacOS/ingot-app", "Contents/Helpers/Ingot Window.app/Contents/MacOS/ingot-window"} {
		info, err := os.Stat(filepath.Join(app, name))
		if err != nil || info.Mode().Perm()&0o111 == 0 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	for file, c := range map[string]struct {
		id         string
		background bool
	}{"Contents/Info.plist": {"org.ingot.app", true}, "Contents/Helpers/Ingot Window.app/Contents/Info.plist": {"org.ingot.app.window", false}} {
		text, err := os.ReadFile(filepath.Join(app, file))
		if err != nil {
			t.Fatal(err)
		}
		var got struct {
			ID         string `plist:"CFBundleIdentifier"`
			Name       string `plist:"CFBundleName"`
			Version    string `plist:"CFBundleVersion"`
			Background bool   `plist:"LSUIElement"`
			Downloads  string `plist:"NSDownloadsFolderUsageDescription"`
			Links      []struct {
				Schemes []string `plist:"CFBundleURLSchemes"`
			} `plist:"CFBundleURLTypes"`
			Documents []struct {
				Types []string `plist:"LSItemContentTypes"`
			} `plist:"CFBundleDocumentTypes"`
			Declared []struct {
				ID   string              `plist:"UTTypeIdentifier"`
				Tags map[string][]string `plist:"UTTypeTagSpecification"`
			} `plist:"UTImportedTypeDeclarations"`
		}
		if _, err := plists.Unmarshal(text, &got); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		if got.ID != c.id || got.Background != c.background || got.Version != "1.2.3" || got.Name != "Ingot" || got.Downloads == "" {
			t.Errorf("%s: %+v", file, got)
		}
		if !c.background {
			continue
		}
		if len(got.Links) != 1 || !slices.Equal(got.Links[0].Schemes, []string{"ingot"}) {
			t.Errorf("links: %+v", got.Links)
		}
		if len(got.Documents) != 1 || len(got.Declared) != 2 {
			t.Fatalf("documents: %+v, %+v", got.Documents, got.Declared)
		}
		for i, extension := range []string{"qcow2", "raw"} { // each type that is opened is declared
			if d := got.Declared[i]; d.ID != got.Documents[0].Types[i] || !slices.Equal(d.Tags["public.filename-extension"], []string{extension}) {
				t.Errorf("%s: %+v", extension, d)
			}
		}
	}
	for _, name := range licences {
		if _, err := os.Stat(filepath.Join(app, "Contents/Resources", name)); err != nil {
			t.Error(err)
		}
	}
	if drawn, err := os.ReadFile(filepath.Join(app, "Contents/Resources/ingot.icns")); err != nil || !bytes.Equal(drawn, icon) {
		t.Errorf("the icon: %v", err)
	}
}

// The tarball has what a desktop needs, and the same input makes the same bytes.
func TestLinux(t *testing.T) {
	p := built(t)
	file, err := p.make("linux")
	if err != nil {
		t.Fatal(err)
	}
	first, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.make("linux"); err != nil {
		t.Fatal(err)
	}
	if second, err := os.ReadFile(file); err != nil || !bytes.Equal(first, second) {
		t.Errorf("the second tarball differs, %v", err)
	}
	z, err := gzip.NewReader(bytes.NewReader(first))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, h.Name)
	}
	if want := []string{"bin/ingot", "bin/ingot-app", "bin/ingot-window", "share/doc/ingot/LICENSE", "share/doc/ingot/THIRD_PARTY_NOTICES", "share/applications/ingot.desktop", "share/applications/ingot-open.desktop", "share/icons/hicolor/512x512/apps/ingot.png"}; !slices.Equal(names, want) {
		t.Errorf("%q", names)
	}
}

func TestMistakes(t *testing.T) {
	p := built(t)
	if _, err := p.make("windows"); err == nil {
		t.Error("an unknown kind")
	}
	p.version = "v1"
	if _, err := p.make("linux"); err == nil {
		t.Error("a version that macOS does not take")
	}
	p.version = "1.2.3"
	if err := os.Remove(filepath.Join(p.from, "ingot-window")); err != nil {
		t.Fatal(err)
	}
	if _, err := p.make("linux"); err == nil || !strings.Contains(err.Error(), "make package") {
		t.Errorf("a missing program: %v", err)
	}
}
