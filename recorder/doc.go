// Package recorder is where calls are recorded: sealed files on the company's own disk. A Recording is the tap on a call's
// customer leg: it copies each packet into a bounded buffer of that call and never waits. One writer seals what was gathered
// into the calls' files; a Reader plays them, also unfinished or damaged ones, and Verify says whether they are what was
// recorded. DESIGN.md documents the file format so that a stranger could write a reader.
//
// The package is not the law of recording: who is recorded, and what the customer is told before, is decided by policy and
// the menus. Its goroutines belong to the Recorder and end with Stop.
package recorder
