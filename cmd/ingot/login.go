package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"ingot/backend"
)

type loginOptions struct {
	*global
	endpoint string
}

func newLogin(g *global) *cobra.Command {
	o := &loginOptions{global: g}
	return &cobra.Command{
		Use: "login [ENDPOINT|github]", Short: "Store an S3 endpoint's keys, or a token for GitHub",
		Long:    "Reads the access key and the secret key from standard input, one line each, and stores them;\nfor github, a token.",
		Example: "  ingot store login https://s3.example.org\n  ingot store login github",
		Args:    args(cobra.MaximumNArgs(1)),
		RunE: func(c *cobra.Command, a []string) error {
			if len(a) > 0 {
				o.endpoint = a[0]
			}
			return runLogin(c.Context(), o, os.Stdin, os.Stdout)
		},
	}
}

func runLogin(ctx context.Context, o *loginOptions, in *os.File, w io.Writer) error {
	b, err := o.open()
	if err != nil {
		return err
	}
	if o.endpoint == backend.GitHub {
		return loginGitHub(ctx, b, in, w)
	}
	access, key, err := readCredentials(in, os.Stderr)
	if err != nil {
		return &usageError{fmt.Sprintf("store login: %v: give the access key and the secret key on standard input, a line each", err)}
	}
	name, err := b.KeepCredentials(ctx, o.endpoint, access, key)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "%s is stored in %s\n", name, b.KeysWhere())
	return nil
}

// loginGitHub stores a token. On a terminal it is not shown.
func loginGitHub(ctx context.Context, b *backend.Backend, in *os.File, w io.Writer) error {
	read := func() (string, error) { return readLine(in) }
	if term.IsTerminal(int(in.Fd())) {
		fmt.Fprint(os.Stderr, "Token (not shown): ")
		read = func() (string, error) {
			hidden, err := term.ReadPassword(int(in.Fd()))
			fmt.Fprintln(os.Stderr)
			return strings.TrimSpace(string(hidden)), err
		}
	}
	token, err := read()
	if err != nil {
		return &usageError{fmt.Sprintf("store login: %v: give the token on standard input", err)}
	}
	name, err := b.KeepGitHubToken(ctx, token)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "%s is stored in %s\n", name, b.KeysWhere())
	return nil
}

// readCredentials reads two lines. On a terminal it prompts for them and does
// not echo the secret key.
func readCredentials(in *os.File, prompts io.Writer) (access, key string, err error) {
	if !term.IsTerminal(int(in.Fd())) {
		if access, err = readLine(in); err == nil {
			key, err = readLine(in)
		}
		return access, key, err
	}
	fmt.Fprint(prompts, "Access key: ")
	if access, err = readLine(in); err != nil {
		return "", "", err
	}
	fmt.Fprint(prompts, "Secret key (not shown): ")
	hidden, err := term.ReadPassword(int(in.Fd()))
	fmt.Fprintln(prompts)
	return access, strings.TrimSpace(string(hidden)), err
}

// readLine reads single bytes, so that the next reader of the file gets
// everything after the line.
func readLine(r io.Reader) (string, error) {
	var line []byte
	for b := make([]byte, 1); ; {
		n, err := r.Read(b)
		switch {
		case n > 0 && b[0] == '\n', errors.Is(err, io.EOF) && len(line) > 0:
			return strings.TrimSpace(string(line)), nil
		case err != nil:
			return "", err
		case n > 0:
			line = append(line, b[0])
		}
	}
}
