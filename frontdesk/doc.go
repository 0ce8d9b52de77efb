// Package frontdesk is what the company does about its customers besides talking to them: it decides whether a call may
// happen and counts it, asks for permission, sends call buttons and the message outside call hours, keeps callback requests,
// rings an agent when a customer allows calls, and keeps a line's settings at Meta as the company wants them.
//
// The rules are package policy's and pure; what happened is in the store, where every decision and its counting are one step;
// here the two meet Meta. Nothing is sent before it is counted on disk, and nothing is ever sent twice by itself: what may
// have been taken is left until a webhook tells.
//
// Goroutines: a started Desk has three loops (watches, settings at Meta, housekeeping), and a few short ones for messages that
// nobody waits for; Stop ends and waits for all of them. See DESIGN.md.
package frontdesk
