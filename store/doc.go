// Package store keeps what must survive a restart: the append-only ledger of facts, the views made from it (calls,
// customers, policy states, callbacks, messages, recordings, lines), the webhook inbox and the settings document. It is
// the only user of Badger and knows nothing about SIP, WhatsApp or HTTP. It isn't a home for audio, and nothing on the
// media path may call it: a page fault or a sync on a sick disk blocks the caller.
//
// Goroutines: Open starts three and Close stops and waits for them: the writer (the only one that commits), the guard
// (polls the disk once a second) and the guard's probe (a small synced write, so that a stuck disk is noticed while the
// store is idle). DESIGN.md has the keys, the invariants and what happens in each failure.
package store
