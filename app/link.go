package app

import (
	"fmt"
	"net/url"
	"regexp"
	"strings"
)

// Scheme is the scheme of links that show something in the window: ingot://builds or
// ingot://reality/debian-12-arm64. Links only show: any page of the web can have one.
const Scheme = "ingot"

// ofLink matches the parts of a route in a link: names of pages, targets, builds, VMs
// and documents.
var ofLink = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$`)

// RouteOfLink returns the route that a link shows.
func RouteOfLink(link string) (string, error) {
	u, err := url.Parse(link)
	if err != nil || u.Scheme != Scheme || u.Opaque != "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return "", fmt.Errorf("link %.200q: accepted are links like %s://reality/TARGET, without user, query and fragment", link, Scheme)
	}
	parts := strings.Split(strings.Trim(u.Host+u.Path, "/"), "/")
	if parts[0] == "" && len(parts) == 1 {
		return RouteLast, nil
	}
	for _, p := range parts {
		if !ofLink.MatchString(p) || len(parts) > 3 {
			return "", fmt.Errorf("link %.200q: %q is no name of a page, target, build or document", link, p)
		}
	}
	return strings.Join(parts, "/"), nil
}
