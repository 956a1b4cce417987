package window

import (
	"fmt"
	"slices"
	"strings"
)

// Route names a page and what it shows, written "page" or "page/target" or
// "page/target/id": "builds/debian-12-arm64/20260101-…", "evidence/proof-1a2b".
type Route struct {
	Page string
	Args []string
}

// ParseRoute parses a route; "" is the first page.
func ParseRoute(s string) (Route, error) {
	parts := strings.Split(strings.Trim(s, "/"), "/")
	if parts[0] == "" {
		return Route{Page: pageHome}, nil
	}
	r := Route{Page: parts[0], Args: parts[1:]}
	names := []string{pageEvidence, pageReality, pageTarget}
	for _, p := range pages {
		names = append(names, p.name)
	}
	if !slices.Contains(names, r.Page) || slices.Contains(r.Args, "") || len(r.Args) > 2 {
		slices.Sort(names)
		return Route{}, fmt.Errorf("route %q: accepted are %s, followed by /TARGET or /TARGET/BUILD, or by /ID after evidence", s, strings.Join(names, ", "))
	}
	return r, nil
}

func (r Route) String() string { return strings.Join(append([]string{r.Page}, r.Args...), "/") }

// arg returns argument n, or "" if there is none.
func (r Route) arg(n int) string {
	if n < len(r.Args) {
		return r.Args[n]
	}
	return ""
}
