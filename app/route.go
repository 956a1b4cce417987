package app

// Routes name what a window shows: `ingot-app window ROUTE`, and the requests
// "show ROUTE" on a running window's socket. A route is the name of a page,
// followed by what to show on it, separated by slashes. If the window does not
// know the rest, it shows the page.
const (
	RouteLast      = "" // the page shown last
	RouteHome      = "home"
	RouteReality   = "reality" // the table of all cells, with what stands behind each
	RouteTarget    = "target"  // a target's own page
	RouteBuilds    = "builds"
	RouteTargets   = "targets"
	RouteArtifacts = "artifacts"
	RouteVMs       = "vms"
	RouteCheck     = "notary" // where images and logs of any origin are checked
	RouteSettings  = "settings"
)

// RouteOf shows a target's own page: where it is, why it failed, the film of its boot.
func RouteOf(target string) string { return RouteTarget + "/" + target }

// RouteRow shows a target's row with the evidence or cause of each cell.
func RouteRow(target string) string { return RouteReality + "/" + target }

// RouteBuild shows the steps and the log of a build.
func RouteBuild(target, build string) string { return RouteBuilds + "/" + target + "/" + build }

// RouteArtifact shows a target's artifact, which can be dragged out of the
// window.
func RouteArtifact(target string) string { return RouteArtifacts + "/" + target }

// RouteVM shows one of the user's VMs.
func RouteVM(name string) string { return RouteVMs + "/" + name }

// ImageSheet follows a VM's route to show the sheet that makes an image of it.
const ImageSheet = "image"

// RouteImageOf shows that sheet.
func RouteImageOf(name string) string { return RouteVM(name) + "/" + ImageSheet }
