package macproof

// By says who answers a check.
type By string

// Who answers a check.
const (
	ByScript By = "script" // scripts/mac-proof.sh
	ByApp    By = "app"    // `ingot-app --selfcheck`, inside the bundle
	ByPerson By = "person" // a yes or no to a question
)

// Check is one thing that a record answers.
type Check struct {
	ID    string
	By    By
	Title string // what is true if it passes
	// Mac says that only a Mac can answer it; elsewhere it is skipped.
	Mac bool
}

// Checks lists what every record answers, in the order of a run.
var Checks = []Check{
	{"build.programs", ByScript, "the command, the menu and the window compile", false},
	{"build.vet", ByScript, "go vet finds nothing", false},
	{"build.unit", ByScript, "the unit tests pass", false},
	{"build.frameworks", ByScript, "the system knows every class and selector that is used, and its blocks can be called", true},
	{"bundle.package", ByScript, "`make package` makes Ingot.app, signed", true},
	{"bundle.signature", ByScript, "codesign accepts the bundle and what is in it", true},
	{"bundle.plist", ByScript, "plutil accepts both Info.plist", true},
	{"bundle.gatekeeper", ByScript, "what Gatekeeper says of the bundle is recorded", true},
	{"host.doctor", ByScript, "`ingot doctor` finds emulator and firmware", false},
	{"host.qemu-entitled", ByScript, "QEMU may use Apple's Hypervisor framework", true},
	{"app.bundle", ByApp, "the menu runs in the bundle org.ingot.app", true},
	{"app.log", ByApp, "the menu's log is where people look for it", false},
	{"app.notes-allowed", ByApp, "the system shows Ingot's notifications", true},
	{"app.note", ByApp, "a notification is delivered", false},
	{"app.block", ByApp, "a click on a notification leaves the menu running", true},
	{"app.login", ByApp, "starting at login can be switched on and off", false},
	{"app.reopen", ByApp, "a second launch reaches the running menu", false},
	{"app.front", ByApp, "the window opens in front", false},
	{"app.idle", ByApp, "the menu takes next to no processor time when nothing happens", false},
	{"line.build", ByScript, "a target is built, booted and published; every cell is passed", false},
	{"line.again", ByScript, "building it again does nothing", false},
	{"line.accelerator", ByScript, "the proof ran with hardware virtualisation", true},
	{"line.socket", ByScript, "only this user can reach the owner", false},
	{"line.awake", ByScript, "the Mac does not sleep while it builds", true},
	{"line.kill", ByScript, "a killed owner leaves no process, and the next build passes", false},
	{"line.truncated", ByScript, "a truncated disk is not proved", false},
	{"line.changed", ByScript, "a disk with a changed byte is not verified", false},
	{"forge.stopped", ByScript, "the forge VM is stopped after the builds", true},
	{"lima.list", ByScript, "`ingot vms` lists what limactl lists", true},
	{"lima.boot", ByScript, "Lima starts the published image with Apple's Virtualization framework", true},
	{"lima.export", ByScript, "a Lima VM is exported as qcow2", true},
	{"asked.icon", ByPerson, "the menu bar shows the ingot, sharp, in light and dark", false},
	{"asked.live", ByPerson, "the open menu follows a build", false},
	{"asked.buttons", ByPerson, "a notification has its buttons, and they work", false},
	{"asked.drag", ByPerson, "a card dragged onto the file manager leaves a file there", false},
	{"asked.focus", ByPerson, "the window comes to the front when the menu opens it", false},
}
