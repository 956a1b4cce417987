package window

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"time"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/container"
	"fyne.io/fyne/v2/theme"
	"fyne.io/fyne/v2/widget"

	"ingot/app/feed"
	"ingot/backend/api"
	"ingot/backend/doctor"
)

// settings shows what this computer lacks, where builds run, the destination of
// publishes, and the folders.
type settings struct {
	w        *Window
	computer *computer
	guest    *guestCard
	body     *fyne.Container
	all      *container.Scroll
	page     fyne.CanvasObject
}

func newSettings(w *Window, _ Route) view {
	v := &settings{w: w, body: container.NewVBox()}
	v.all = container.NewVScroll(container.NewPadded(v.body))
	v.computer = newComputer(w, v.body.Refresh, v.all.ScrollToTop)
	v.guest = newGuestCard(w, v.body.Refresh, v.computer.look)
	for _, card := range []fyne.CanvasObject{v.computer.card, v.guest.card, v.publishing(), v.team(), v.notifications(), v.login(), v.folders()} {
		v.body.Add(card)
	}
	v.page = container.NewBorder(text("Settings", theme.SizeNameHeadingText, true), nil, nil, nil, v.all)
	return v
}

func (v *settings) object() fyne.CanvasObject { return v.page }
func (v *settings) update(feed.State)         {}

func (v *settings) leave() {
	v.computer.leave()
	v.guest.leave()
}

// ask runs question in the background and then calls answer to fill the list;
// until then the list shows the text meanwhile.
func (v *settings) ask(list *fyne.Container, meanwhile string, question func(context.Context) error, answer func(error)) {
	list.Objects = []fyne.CanvasObject{widget.NewLabel(meanwhile)}
	list.Refresh()
	v.w.do(question, func(err error) {
		list.Objects = nil
		answer(err)
		v.body.Refresh() // the cards below change position
	})
}

func code(text string) fyne.CanvasObject {
	l := widget.NewLabel(cleanLines(text))
	l.TextStyle.Monospace = true
	l.Wrapping = fyne.TextWrapBreak
	l.Selectable = true
	return l
}

// services are S3-compatible services with the form of their addresses, by which a form is
// filled: parts in capitals are the user's. Sources: docs.aws.amazon.com/general/latest/gr/s3.html,
// developers.cloudflare.com/r2/api/s3/api, backblaze.com/docs/cloud-storage-s3-compatible-api,
// docs.hetzner.com/storage/object-storage/overview.
var services = []struct{ name, endpoint string }{
	{"Amazon S3", "https://s3.REGION.amazonaws.com"},
	{"Cloudflare R2", "https://ACCOUNT.r2.cloudflarestorage.com"},
	{"Backblaze B2", "https://s3.REGION.backblazeb2.com"},
	{"Hetzner", "https://LOCATION.your-objectstorage.com"},
	{"Another one", "https://"},
}

// publishing sets where releases go, stores its credentials, and tests it.
func (v *settings) publishing() fyne.CanvasObject {
	s := v.w.backend.Settings()
	found := container.NewVBox()
	endpoint, bucket, prefix, public := widget.NewEntry(), widget.NewEntry(), widget.NewEntry(), widget.NewEntry()
	endpoint.SetText(s.Endpoint)
	bucket.SetText(s.Bucket)
	prefix.SetText(s.Prefix)
	public.SetText(s.PublicURL)
	endpoint.SetPlaceHolder("empty: the local store, an S3 server for a folder of this computer")
	public.SetPlaceHolder("where everybody reads it, if that is another address")
	names := make([]string, len(services))
	for i, one := range services {
		names[i] = one.name
	}
	filled := s.Endpoint
	service := widget.NewSelect(names, func(name string) {
		for _, one := range services {
			if one.name == name && (endpoint.Text == filled || endpoint.Text == "") {
				filled = one.endpoint
				endpoint.SetText(filled)
			}
		}
	})
	service.PlaceHolder = "Fill in the address of…"
	access, key := widget.NewEntry(), widget.NewPasswordEntry()
	access.SetPlaceHolder("empty: those that are kept, or of the environment")
	form := widget.NewForm(widget.NewFormItem("service", container.NewHBox(service)), widget.NewFormItem("endpoint", endpoint), widget.NewFormItem("bucket", bucket), widget.NewFormItem("folder", prefix),
		widget.NewFormItem("public address", public), widget.NewFormItem("access key", access), widget.NewFormItem("secret key", key))
	form.SubmitText = "Save"
	form.OnSubmit = func() {
		d := Destination{Endpoint: strings.TrimSpace(endpoint.Text), Bucket: strings.TrimSpace(bucket.Text), Prefix: strings.Trim(strings.TrimSpace(prefix.Text), "/"), PublicURL: strings.TrimSpace(public.Text)}
		a, k := strings.TrimSpace(access.Text), key.Text
		if problem := destinationProblem(d, a, k); problem != "" {
			v.w.showStatus(nil, problem)
			return
		}
		form.Disable()
		v.w.do(func(ctx context.Context) error {
			if err := v.w.backend.SetDestination(ctx, d); err != nil || a == "" {
				return err
			}
			_, err := v.w.backend.KeepCredentials(ctx, d.Endpoint, a, k)
			return err
		}, func(err error) {
			form.Enable()
			done := "saved; the next publish goes there: Test tries it"
			if a != "" && err == nil {
				key.SetText("")
				done = "saved, the credentials in " + s.Keys + "; Test tries it"
			}
			v.w.showStatus(err, done)
		})
	}
	bar := container.NewHBox(widget.NewButton("Test", func() { v.probe(found) }),
		widget.NewButton("Open config.yaml", func() { v.w.showStatus(v.w.desktop.Open(s.ConfigFile), "") }))
	to := "to the local store: an S3 server for a folder of this computer"
	if s.Endpoint != "" {
		to = clean(s.Endpoint)
	}
	return section("Publishing", to, container.NewVBox(form, bar, found))
}

// placeholder matches the parts of a service's address that are the user's to replace.
var placeholder = regexp.MustCompile(`REGION|ACCOUNT|LOCATION`)

// destinationProblem says why a form cannot be saved; "" is none.
func destinationProblem(d Destination, access, key string) string {
	switch {
	case placeholder.MatchString(d.Endpoint):
		return "the endpoint has " + placeholder.FindString(d.Endpoint) + " in it: put yours in its place"
	case (access == "") != (key == ""):
		return "an access key and its secret key belong together: give both, or none"
	case access != "" && d.Endpoint == "":
		return "the local store needs no keys: give an endpoint, or leave the keys empty"
	}
	return ""
}

// probe tests the endpoint and lists what it supports.
func (v *settings) probe(list *fyne.Container) {
	var found []api.Ability
	v.ask(list, "Trying…", func(ctx context.Context) (err error) {
		_, found, err = v.w.backend.ProbeEndpoint(ctx)
		return err
	}, func(err error) {
		if err != nil {
			list.Add(message("The endpoint cannot be used", err.Error()))
		}
		for _, a := range found {
			text := a.Why
			if a.Seen != "" {
				text = a.Seen
			}
			list.Add(checkRow(doctor.Check{Name: a.Name, OK: a.OK, Why: text}))
		}
	})
}

func (v *settings) folders() fyne.CanvasObject {
	s := v.w.backend.Settings()
	form := widget.NewForm()
	for _, f := range []struct{ name, dir string }{{"configuration", s.Config}, {"data", s.Data}, {"cache", s.Cache}} {
		form.Append(f.name, container.NewBorder(nil, nil, nil, widget.NewButtonWithIcon("", theme.FolderOpenIcon(), func() { v.w.showStatus(v.w.desktop.Open(f.dir), "") }), code(f.dir)))
	}
	form.Append("keys", widget.NewLabel(clean(s.Keys)))
	form.Append("version", widget.NewLabel(s.Version))
	return section("Folders", "", form)
}

// team lists the team's workers.
func (v *settings) team() fyne.CanvasObject {
	s := v.w.backend.Settings()
	open := widget.NewButton("Open config.yaml", func() { v.w.showStatus(v.w.desktop.Open(s.ConfigFile), "") })
	if s.Team == "" {
		return section("Workers", "of a team: set team.nats in config.yaml to build on other computers", container.NewHBox(open))
	}
	list := container.NewVBox()
	refresh := func() {
		var all []Worker
		v.ask(list, "Asking…", func(ctx context.Context) (err error) {
			all, err = v.w.backend.Workers(ctx)
			return err
		}, func(err error) {
			switch {
			case err != nil:
				list.Add(message("The team's server does not answer", err.Error()))
			case len(all) == 0:
				list.Add(widget.NewLabel("No worker was seen in the last ten minutes: `ingot worker` starts one."))
			}
			for _, w := range all {
				list.Add(workerRow(w, time.Now()))
			}
		})
	}
	refresh()
	return section("Workers", clean(s.Team), container.NewVBox(container.NewHBox(widget.NewButton("Look Again", refresh), open), list))
}

// workerRow shows a worker, with a tick if this home accepts its evidence.
func workerRow(w Worker, now time.Time) fyne.CanvasObject {
	text := fmt.Sprintf("builds %s; %d of %d builds; heartbeat %s ago; ingot %s", strings.Join(w.Builds, ", "), len(w.Running), w.Slots, max(0, now.Sub(w.Seen)).Round(time.Second), w.Version)
	if !w.Trusted {
		text = "its evidence is not accepted: its key is not listed under team.workers; " + text
	}
	return checkRow(doctor.Check{Name: w.Host, OK: w.Trusted, Why: text})
}

func (v *settings) notifications() fyne.CanvasObject {
	box := widget.NewCheck("Show a notification when a build ends, unless this window has the focus", nil)
	box.Checked = !v.w.backend.Preferences().Quiet
	box.OnChanged = func(on bool) {
		v.w.do(func(context.Context) error {
			p := v.w.backend.Preferences()
			p.Quiet = !on
			return v.w.backend.KeepPreferences(p)
		}, func(err error) { v.w.showStatus(err, "") })
	}
	return section("Notifications", "", box)
}

func (v *settings) login() fyne.CanvasObject {
	on, err := v.w.desktop.Autostart()
	box := widget.NewCheck("Start Ingot's menu at login", nil)
	box.Checked = on
	if err != nil {
		box.Disable()
		return section("At login", clean(err.Error()), box)
	}
	box.OnChanged = func(on bool) {
		v.w.do(func(context.Context) error { return v.w.desktop.SetAutostart(on) }, func(err error) { v.w.showStatus(err, "") })
	}
	return section("At login", "", box)
}
