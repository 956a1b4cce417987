package app

// Routes name what a window shows: `ingot-app window ROUTE`, and the requests
// "show ROUTE" on a running window's socket. A route is a view, then what to
// show of it, separated by slashes; a window that does not know the rest shows
// the view.
const (
	RouteLast      = "" // where the window was last
	RouteReality   = "reality"
	RouteBuilds    = "builds"
	RouteTargets   = "targets"
	RouteArtifacts = "artifacts"
	RouteVMs       = "vms"
	RouteSettings  = "settings"
)

// RouteRow is a target's row with the evidence or cause of each cell.
func RouteRow(target string) string { return RouteReality + "/" + target }

// RouteBuild is one build's steps and log.
func RouteBuild(target, build string) string { return RouteBuilds + "/" + target + "/" + build }

// RouteArtifact is a target's artifact, to be dragged out.
func RouteArtifact(target string) string { return RouteArtifacts + "/" + target }

// RouteVM is one of the user's VMs.
func RouteVM(name string) string { return RouteVMs + "/" + name }
