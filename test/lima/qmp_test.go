//go:build e2e_lima

package lima

import (
	"bufio"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ingot/backend/guest/lima"
)

// talker speaks to an instance's QEMU by other code than Ingot's.
type talker struct {
	net.Conn
	r *bufio.Reader
}

func talk(t testing.TB, i lima.Instance) talker {
	t.Helper()
	conn, err := net.Dial("unix", filepath.Join(i.Dir, "qmp.sock"))
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	m := talker{conn, bufio.NewReader(conn)}
	if _, err := m.r.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	m.ask(t, "qmp_capabilities")
	return m
}

// ask runs a command and returns the line of its answer.
func (m talker) ask(t testing.TB, command string) string {
	t.Helper()
	if _, err := fmt.Fprintf(m, "{\"execute\": %q}\n", command); err != nil {
		t.Fatal(err)
	}
	for {
		line, err := m.r.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(line, `"event"`) {
			return strings.TrimSpace(line)
		}
	}
}
