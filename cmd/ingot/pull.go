package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"ingot/backend"
	"ingot/backend/verify"
)

func newPull(g *global) *cobra.Command {
	var o verify.PullOptions
	c := &cobra.Command{
		Use: "pull URL", Short: "Fetch the disk of a published release, and check it",
		Long: "Checks the signature of a release, fetches the disk that is proven to boot, and compares its digest.\n" +
			"A transfer that was cut off leaves FILE.part, with which the next pull goes on.",
		Example: "  ingot pull https://s3.example.org/images/debian/12/arm64/20261124-1408/ --key publisher.pub",
		Args:    args(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, a []string) error {
			b, err := g.open()
			if err != nil {
				return err
			}
			if o.Subject, err = subject(a[0]); err != nil {
				return err
			}
			p, err := pull(c.Context(), b, o)
			if err != nil {
				return err
			}
			if !g.json {
				fmt.Println(p.File)
				return nil
			}
			enc := json.NewEncoder(os.Stdout)
			enc.SetIndent("", "  ")
			return enc.Encode(p)
		},
	}
	c.Flags().StringVarP(&o.To, "out", "o", ".", "the file to write, or a folder for it")
	c.Flags().StringVar(&o.KeyFile, "key", "", "the publisher's public key file (default: this home's keys, including retired ones)")
	c.Flags().BoolVar(&o.Unproven, "unproven", false, "fetch a disk without a signed proof that it boots")
	c.Flags().BoolVar(&g.json, "json", false, "print the result as JSON")
	return c
}

// pull fetches a disk with progress on standard error.
func pull(ctx context.Context, b *backend.Backend, o verify.PullOptions) (verify.Pulled, error) {
	o.Notify = func(msg string) { fmt.Fprintln(os.Stderr, msg) }
	o.Progress = counter(os.Stderr, "pull")
	return verify.Pull(ctx, b, o)
}
