// Package policy answers one question: may this happen? A call to a customer, a request for permission, a message, an inbound
// call that rings. It is pure: the Question holds the facts, the rules and the time, the Decision comes out, and the same
// question gives the same decision for ever. It reads no clock, does no I/O and starts no goroutine.
//
// Events of a line and customer add up to a State (Apply). Rules are a profile's numbers, never looser than Meta's. Hours are
// the call hours, with the holidays of a Pack or of a calendar file. DESIGN.md says why things are as they are.
package policy
