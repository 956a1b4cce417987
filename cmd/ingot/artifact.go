package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"ingot/backend/api"
	"ingot/backend/owner"
	"ingot/backend/status"
)

func newExport(g *global) *cobra.Command {
	var format, out string
	var force bool
	c := &cobra.Command{
		Use: "export TARGET", Short: "Write the target's built disk as qcow2, raw, tar or for UTM",
		Example: "  ingot export debian-12-arm64 --format raw --output disk.raw",
		Args:    args(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, a []string) error {
			b, err := g.open()
			if err != nil {
				return err
			}
			if format, err = exportFormat(format, out, c.Flags().Changed("format")); err != nil {
				return err
			}
			if out == "" {
				out = a[0] + "." + format
			}
			dst, err := outputFile(out, force)
			if err != nil {
				return err
			}
			if err := status.Export(c.Context(), b, a[0], format, dst, nil); err != nil {
				return err
			}
			fmt.Println(dst)
			return nil
		},
	}
	c.Flags().StringVar(&format, "format", "qcow2", strings.Join(api.Formats, ", ")+" (default: by the name of the output file, else qcow2)")
	c.Flags().StringVarP(&out, "output", "o", "", "the file to write (default: TARGET.FORMAT here)")
	c.Flags().BoolVar(&force, "force", false, "overwrite an existing file")
	return c
}

// exportFormat is the format of an export: the one that was asked for, else the one
// that the output file is named after. A name that says another format than the one
// that was asked for is a mistake.
func exportFormat(format, out string, asked bool) (string, error) {
	for _, f := range status.Formats() {
		switch named := strings.HasSuffix(out, "."+f.Extension); {
		case !named || f.Name == format:
		case asked:
			return "", &usageError{fmt.Sprintf("--output %s is named like a %s, and --format is %s: change one of them", out, f.Name, format)}
		default:
			return f.Name, nil
		}
	}
	return format, nil
}

func newPublish(g *global) *cobra.Command {
	var opt api.Submission
	c := &cobra.Command{
		Use: "publish TARGET", Short: "Publish the target's exported and proven artifact",
		Example: "  ingot publish debian-12-arm64",
		Args:    args(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, a []string) error {
			b, err := g.open()
			if err != nil {
				return err
			}
			opt.Target, opt.Force, opt.Guest = a[0], []string{"publish"}, g.guest
			if dir, ok := strings.CutPrefix(opt.To, "dir:"); ok && dir != "" { // relative to this process's working directory, not the owner's
				if dir, err = filepath.Abs(dir); err != nil {
					return err
				}
				opt.To = "dir:" + dir
			}
			if err := owner.CheckSubmission(b, opt); err != nil {
				return err
			}
			if err := status.CheckPublish(c.Context(), b, opt); err != nil {
				return err
			}
			return buildAndFollow(c.Context(), b, opt, view{json: g.json})
		},
	}
	c.Flags().StringVar(&opt.To, "to", "", "destination instead of the endpoint of config.yaml: dir:PATH is a folder")
	c.Flags().BoolVar(&opt.Unproven, "unproven", false, "publish without a passed boot proof; the release is marked as unproven")
	c.Flags().BoolVar(&opt.Unscanned, "unscanned", false, "publish although the scan for secrets cannot read a file system; the release is marked as unscanned")
	c.Flags().BoolVar(&g.json, "json", false, "print events as NDJSON")
	return c
}

func newStore(g *global) *cobra.Command {
	c := parent("store", "Serve the local S3 store, test a store, keep its credentials", "ingot store test")
	var port int
	serve := &cobra.Command{
		Use: "serve", Short: "Serve the local store until Ctrl-C",
		Example: "  ingot store serve --port 9000", Args: args(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			if port < 0 || port > 65535 {
				return &usageError{fmt.Sprintf("store serve: --port %d is not a port; accepted: 1 to 65535", port)}
			}
			b, err := g.open()
			if err != nil {
				return err
			}
			s, err := b.OpenStore(c.Context(), port)
			if err != nil {
				return err
			}
			e := s.Endpoint()
			fmt.Printf("%s/%s/index.html\n", e.URL, e.Bucket)
			if !s.Served() {
				fmt.Fprintln(os.Stderr, "another process is serving the store already")
				return nil
			}
			select {
			case <-c.Context().Done():
				return s.Close()
			case err := <-s.Done():
				return err
			}
		},
	}
	serve.Flags().IntVar(&port, "port", 0, "listen on this port from now on (published addresses contain the port)")
	c.AddCommand(serve, newLogin(g), newStoreTest(g))
	return c
}
