package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"deskbridge/appliance"
)

// recordingExport writes recordings as audio files: those named, those the filters select, or a sealed file given.
func recordingExport(ctx context.Context, c *invocation, f *recordingFlags, ids []string) error {
	if _, ok := appliance.RecordingFormats[*f.format]; !ok {
		fmt.Fprintf(c.err, "deskbridge: there is no format %q; use ogg, wav, wav48, customer or agent\n", *f.format)
		return errUsage
	}
	if *f.file != "" {
		if err := c.noArguments(ids); err != nil {
			return err
		}
		return exportFile(ctx, c, f)
	}
	daemon, err := c.daemon(*f.config)
	if err != nil {
		return err
	}
	if len(ids) == 0 {
		if err := f.each(ctx, c, daemon, func(r appliance.Recording) error {
			if r.State == appliance.RecordingFinished {
				ids = append(ids, r.ID)
			}
			return nil
		}); err != nil {
			return err
		}
	}
	if len(ids) == 0 {
		fmt.Fprintln(c.out, "No recordings.")
		return nil
	}
	if len(ids) > 1 && *f.output != "" {
		if info, err := os.Stat(*f.output); err != nil || !info.IsDir() {
			fmt.Fprintf(c.err, "deskbridge: %d recordings need a folder: -o %q is none\n", len(ids), *f.output)
			return errUsage
		}
	}
	for _, id := range ids {
		if err := exportOne(ctx, c, f, daemon, id); err != nil {
			return fmt.Errorf("export recording %s: %w", id, err)
		}
	}
	return nil
}

func exportOne(ctx context.Context, c *invocation, f *recordingFlags, daemon *appliance.ControlClient, id string) error {
	body, size, name, err := daemon.ExportRecording(ctx, id, *f.format)
	if err != nil {
		return err
	}
	defer body.Close()
	return c.write(body, size, *f.output, name)
}

// write copies an export to where it goes, and shows how far it is.
func (c *invocation) write(from io.Reader, size int64, to, proposed string) error {
	out, err := openOutput(c, to, proposed)
	if err != nil {
		return err
	}
	bar := newBar(c.err, proposed)
	n, err := io.Copy(out, &counted{r: from, of: size, bar: bar})
	bar.clear()
	if err == nil && n != size {
		err = fmt.Errorf("%d of %d bytes came: %w", n, size, io.ErrUnexpectedEOF)
	}
	if err := out.finish(err); err != nil {
		return err
	}
	if out.file != nil {
		fmt.Fprintf(c.out, "%s  %d bytes\n", out.name, n)
	}
	return nil
}

// exportFile opens a sealed file without the daemon: on another machine with an age key, or here with the appliance's keys.
func exportFile(ctx context.Context, c *invocation, f *recordingFlags) error {
	data := ""
	if *f.identity == "" {
		cfg, err := c.loadConfig(*f.config)
		if err != nil {
			return err
		}
		data = cfg.DataDir
	}
	e, err := appliance.OpenSealed(ctx, *f.file, data, *f.identity, appliance.RecordingFormats[*f.format])
	if err != nil {
		return err
	}
	r := e.NewReader()
	defer r.Close()
	name := strings.TrimSuffix(filepath.Base(*f.file), filepath.Ext(*f.file)) + extensions[slices.Contains([]string{"wav", "wav48"}, *f.format)]
	return c.write(r, e.Size(), *f.output, name)
}

var extensions = map[bool]string{true: ".wav", false: ".opus"}

// counted tells a bar how much was read.
type counted struct {
	r      io.Reader
	at, of int64
	bar    *bar
}

func (c *counted) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.at += int64(n)
	c.bar.at(c.at, c.of)
	return n, err
}
