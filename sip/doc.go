// Package sip is the desk side of a call: SIP trunks, registered phones, their dialogs and their RTP. It turns an INVITE
// into a bridge.Offer, a bridge.Invite into an INVITE, and a bridge.Cause into a SIP status and back.
//
// It is not a proxy and not a general user agent: it answers only trunks (by address) and phones (by digest), it sends
// only to configured trunks and to the address a phone registered from, and it decides nothing about who may call whom.
//
// Messages, parser, transports and transactions are sipgo's; dialogs, digest, registrar, registration, DNS choice and the
// filter before the parser are ours (DESIGN.md says why). Goroutines: the Endpoint owns the listeners and one loop per
// trunk; each Leg owns one loop, and each INVITE we send one that may outlive the leg until the far end has answered,
// because a CANCEL can cross a 200. Stop waits for all of them.
package sip
