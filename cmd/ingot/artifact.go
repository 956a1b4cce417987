package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"ingot/backend"
)

func newExport(g *global) *cobra.Command {
	var format, out string
	var force bool
	c := &cobra.Command{
		Use: "export TARGET", Short: "Write the target's built disk in a format: qcow2, raw, tar.zst",
		Args: args(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, a []string) error {
			b, err := g.open()
			if err != nil {
				return err
			}
			if out == "" {
				out = a[0] + "." + format
			}
			dst, err := outputFile(out, force)
			if err != nil {
				return err
			}
			if err := b.Export(c.Context(), a[0], format, dst, nil); err != nil {
				return err
			}
			fmt.Println(dst)
			return nil
		},
	}
	c.Flags().StringVar(&format, "format", "qcow2", "qcow2, raw or tar.zst")
	c.Flags().StringVarP(&out, "output", "o", "", "the file to write (default: TARGET.FORMAT here)")
	c.Flags().BoolVar(&force, "force", false, "write over a file that is there")
	return c
}

func newPublish(g *global) *cobra.Command {
	var opt backend.Submission
	c := &cobra.Command{
		Use: "publish TARGET", Short: "Publish the target's exported and proven artifact",
		Args: args(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, a []string) error {
			b, err := g.open()
			if err != nil {
				return err
			}
			opt.Target, opt.Force, opt.Guest = a[0], []string{"publish"}, g.guest
			if err := b.CheckPublish(c.Context(), opt); err != nil {
				return err
			}
			return buildAndFollow(c.Context(), b, opt, view{json: g.json})
		},
	}
	c.Flags().BoolVar(&opt.Unproven, "unproven", false, "publish without a passed boot proof, marked so")
	c.Flags().BoolVar(&g.json, "json", false, "print events as NDJSON")
	return c
}

func newStore(g *global) *cobra.Command {
	c := group("store", "The local store: an S3 server on this computer")
	var port int
	serve := &cobra.Command{
		Use: "serve", Short: "Serve the local store until Ctrl-C", Args: args(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			if port < 0 || port > 65535 {
				return &usageError{fmt.Sprintf("store serve: --port %d is no port; accepted: 1 to 65535", port)}
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
				fmt.Fprintln(os.Stderr, "another process serves it already")
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
	serve.Flags().IntVar(&port, "port", 0, "listen here from now on (published addresses hold the port)")
	c.AddCommand(serve, newLogin(g), newStoreTest(g))
	return c
}
