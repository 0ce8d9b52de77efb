// Package recorder is where calls are recorded: sealed files on the company's own disk, and their retention. It reads the
// customer's leg through package bridge and never slows a call. Nothing is recorded yet; the status table of README.md says
// what works.
package recorder
